"""Uploads a saved model to the Hugging Face Hub."""

from pathlib import Path

from audiocodec.errors import ModelError, one_line
from audiocodec.weights.hub import quiet_hub


def upload(folder: Path, repo_id: str, private: bool, token: str | None) -> str:
    """Create the repository if it is missing and upload the folder; return the commit's URL.

    Raises ModelError if the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    try:
        with quiet_hub():
            api.create_repo(repo_id, private=private, exist_ok=True)
            return str(api.upload_folder(repo_id=repo_id, folder_path=folder).commit_url)
    except Exception as error:  # any, since huggingface_hub's HTTP library varies
        raise ModelError(
            f"{repo_id}: cannot be uploaded: {type(error).__name__}: {one_line(error)}; check the "
            "name, the network, and that `hf auth login` has been run with a token that may write"
        ) from error
