"""Puts a saved model on the Hugging Face Hub."""

from pathlib import Path

from audiocodec.errors import ModelError


def upload(folder: Path, repo_id: str, private: bool, token: str | None) -> str:
    """Create the repository where it is missing and upload the folder; returns the commit's URL.

    Raises ModelError where the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder).commit_url)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise ModelError(
            f"{repo_id}: cannot be uploaded: {type(error).__name__}: {reason}; check the name, "
            "the network, and that `hf auth login` has been run with a token that may write"
        ) from error
