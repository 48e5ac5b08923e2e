"""Tiny packages, as files that pip installs without an index."""

import io
import zipfile


def wheel(name: str, version: str, module: str, **files: str) -> bytes:
    """A tiny package with a program of its own."""
    about = f"{name}-{version}.dist-info"
    texts = {
        f"{name}/__init__.py": module,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
        **files,
    }
    texts[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in [*texts, f"{about}/RECORD"])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in texts.items():
            archive.writestr(path, text)
    return out.getvalue()


FIRST, SECOND = wheel("tinyone", "1.0", "WHAT = 'one'\ndef main(): print('program of one')\n"), wheel("tinytwo", "2.0", "WHAT = 'two'\ndef main(): print(2)\n")
