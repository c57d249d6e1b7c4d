"""The networks, as the paper draws them: ordinary modules, trainable, without files or streams."""
