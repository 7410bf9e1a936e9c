import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from . import apis, aws, google, models
from .table import Table

# By the name of a table: the package that it comes from, and what reads it.
TABLES = {
    "openai": ("openai", apis.openai),
    "anthropic": ("anthropic", apis.anthropic),
    "groq": ("groq", apis.groq),
    "mistral": ("mistralai", models.mistral),
    "cohere": ("cohere", models.cohere),
    "ollama": ("ollama", models.ollama),
    "gemini": ("google-genai", google.gemini),
    "vertex": ("google-genai", google.vertex),
    "bedrock": ("botocore", aws.bedrock),
}
# Tables of packages that older.txt pins, for versions of an API that the newest know no more.
OLDER = {"anthropic-2023-06-01": ("anthropic", apis.anthropic)}


def write(folder, name, package, read):
    table = Table(f"{package} {version(package)}")
    read(table)
    (Path(folder) / f"{name}.json").write_text(table.text())


def main(folder, only=None):
    if only:
        return write(folder, only, *OLDER[only])
    for name, made in TABLES.items():
        write(folder, name, *made)
    # Of a package one process has one version only.
    older = os.environ | {"PYTHONPATH": str(Path(sys.prefix) / "older")}
    for name in OLDER:
        command = [sys.executable, "-m", "request_types", folder, name]
        subprocess.run(command, env=older, check=True)


main(*sys.argv[1:])
