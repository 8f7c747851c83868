"""A small thing as a repository: one file and a card, in a folder or on the Hugging Face hub.

The file is what the thing's own `save` writes (safetensors or JSON), and its own reader reads it
back: nothing that comes from a hub is run.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from equipoise.errors import BadInputError
from equipoise.runs.atomic import write_atomic

CARD = "README.md"


def build_card(title: str, facts: Mapping[str, object], warning: str) -> str:
    """Write the card of a repository.

    Args:
        title: What it holds, one or two words.
        facts: Rows of its table.
        warning: What it must not be used for.
    """
    rows = [f"| {name} | {_clean(value)} |" for name, value in facts.items()]
    tag = title.replace(" ", "-")
    return "\n".join(
        [
            "---", "library_name: equipoise", f"tags: [equipoise, {tag}]", "---",
            f"# {title.capitalize()}", "", "| | |", "|---|---|", *rows, "", warning, "",
        ]
    )  # fmt: skip


def write_repository(folder: Path, file: str, save: Callable[[Path], None], card: str) -> None:
    """Write file and card into a folder; a card that is there already is left as it is."""
    save(folder / file)
    if not (folder / CARD).exists():
        write_atomic(folder / CARD, card.encode())


def push_repository(
    repo_id: str,
    write: Callable[[Path], None],
    *,
    private: bool | None,
    token: str | None,
) -> str:
    """Make the repository on the hub if it is not there, upload what `write` writes, say where.

    Raises:
        BadInputError: when the hub refuses, or cannot be reached.
    """
    hub = _import_hub()
    try:
        api = hub.HfApi(token=token)
        repo = api.create_repo(repo_id, private=private, exist_ok=True)
        with TemporaryDirectory() as folder:
            write(Path(folder))
            # A card that somebody wrote by hand is worth more than ours.
            kept = [CARD] if api.file_exists(repo.repo_id, CARD) else None
            done = api.upload_folder(
                repo_id=repo.repo_id, folder_path=folder, ignore_patterns=kept,
                commit_message="Upload with equipoise",
            )  # fmt: skip
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        raise BadInputError(
            f'Cannot push to "{repo_id}": {_first_line(error)} Give NAME/REPOSITORY and a token '
            "that may write there (`hf auth login`)."
        ) from error
    return str(done.commit_url)


def find_in_repository(
    source: str | Path, file: str, *, revision: str | None, token: str | None
) -> Path:
    """Find the file of a folder, or of a repository on the hub, which is fetched if need be.

    Raises:
        BadInputError: when neither has it, or the hub cannot be reached.
    """
    folder = Path(source)
    if folder.is_dir():
        if (folder / file).is_file():
            return folder / file
        raise BadInputError(f'The folder "{folder}" holds no "{file}".')
    hub = _import_hub()
    try:
        return Path(hub.hf_hub_download(str(source), file, revision=revision, token=token))
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        raise BadInputError(
            f'Cannot get "{file}" of "{source}": no such folder, and the hub says: '
            f"{_first_line(error)} Give a folder, or NAME/REPOSITORY."
        ) from error


def _import_hub() -> Any:  # noqa: ANN401 - a module
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise ImportError(
            'The hub needs huggingface_hub: pip install "equipoise[diffusers]".'
        ) from error
    return huggingface_hub


def _clean(value: object) -> str:
    """Keep a name from ending its cell, or from being markup."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(value))
    return "`" + text.replace("`", "'").replace("|", "/") + "`"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
