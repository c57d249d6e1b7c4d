"""Where parameters come from: names, the hub, folders and files. Nothing in a file is executed."""
