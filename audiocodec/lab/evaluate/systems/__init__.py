"""The codecs that can be measured, a file each; see base.py for what one has to offer."""
