"""Which recordings there are, and parts of them: one idea of it for all commands.

folders   what a folder holds, and what in it was not used
"""

from audiocodec.recordings.folders import UnusedFilesWarning, files_in, sound_files

__all__ = [
    "files_in",
    "sound_files",
    "UnusedFilesWarning",
]
