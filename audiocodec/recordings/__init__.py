"""Lists recordings and reads any part of them, in the same way for every command.

    recording    a Recording: a sound file, a member of a tar, or an excerpt of either
    listing      the recordings of a folder, a sound file, a manifest or a tar
    folders      the files of a folder, and a warning of those that were not used
    manifests    tables that name recordings
    tars         the members of a tar, by their positions
    opening      a recording as an AudioSource, of which any part can be read

Names are imported from these modules at first use: token files need only tars.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiocodec.recordings.folders import files_in as files_in
    from audiocodec.recordings.folders import sound_files as sound_files
    from audiocodec.recordings.listing import recordings_in as recordings_in
    from audiocodec.recordings.opening import open_recording as open_recording
    from audiocodec.recordings.recording import Recording as Recording
    from audiocodec.recordings.unused import UnusedFilesWarning as UnusedFilesWarning

_HOMES = {
    "files_in": "folders",
    "open_recording": "opening",
    "Recording": "recording",
    "recordings_in": "listing",
    "sound_files": "folders",
    "UnusedFilesWarning": "unused",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
