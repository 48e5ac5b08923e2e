"""The commands. Each loads what it needs only when it is called, so that `gpulab --help` and completion are quick."""

import sys
from typing import Annotated

import typer

from . import __version__, show
from .faults import Fault

app = typer.Typer(
    name="gpulab",
    help="Your labs and the GPUs of your house, from the terminal. Start with: gpulab login https://the-address-of-your-portal",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 refused, 2 wrong usage, 3 not signed in, 4 no such thing, 5 the portal does not answer, 130 interrupted. "
    "`gpulab run` ends with the exit code of its own program, 124 when its time was up, 125 when it never ended by itself.",
)


def _json_wanted(value: bool) -> None:
    show.as_json = show.as_json or value


Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.", callback=_json_wanted)]


def lab_names(incomplete: str) -> list[str]:
    """Completion: names of one's live labs."""
    from .client import api

    try:
        return [lab["name"] for lab in api().get("/labs", live=True, limit=100)["items"] if lab["name"].startswith(incomplete)]
    except Fault:
        return []


LabName = Annotated[str, typer.Argument(metavar="LAB", help="Its name or id.", autocompletion=lab_names)]


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"gpulab {__version__}\n")
        raise typer.Exit


@app.callback()
def everything(
    json: Json = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """Options of every command."""


@app.command()
def login(
    url: Annotated[str, typer.Argument(help="The portal's address; left out, the one of the last time.")] = "",
    scope: Annotated[str, typer.Option(help="What it may do: read, launch or admin.")] = "launch",
    browser: Annotated[bool, typer.Option(help="Open the page by itself.")] = True,
    json: Json = False,
) -> None:
    """Sign in: approve the code that is shown on a page of the portal."""
    from . import signing

    signing.login(url, scope=scope, browser=browser)


@app.command()
def logout(json: Json = False) -> None:
    """Sign out: the token is revoked and forgotten."""
    from . import signing

    signing.logout()


@app.command()
def whoami(json: Json = False) -> None:
    """Who is signed in, where."""
    from . import house

    house.whoami()


@app.command()
def launch(
    name: Annotated[str, typer.Argument(help="A name; left out, one is found.")] = "",
    image: Annotated[str, typer.Option(help="Part of an image's name, or its id; left out, the template's or the first that is ready.")] = "",
    gpus: Annotated[int | None, typer.Option(help="Whole GPUs; left out, the template's or 0.")] = None,
    model: Annotated[str, typer.Option(help="A GPU model, as `gpulab top` names it.")] = "",
    cpus: Annotated[int | None, typer.Option(help="CPU cores; left out, the template's or 4.")] = None,
    memory: Annotated[int | None, typer.Option(help="GiB; left out, the template's or 16.")] = None,
    shm: Annotated[int, typer.Option(help="GiB of shared memory; 0 for half of the memory.")] = 0,
    hours: Annotated[int | None, typer.Option(help="It ends by itself after that; left out, the template's or 4.")] = None,
    template: Annotated[str, typer.Option(help="Begin with a template's files; `gpulab templates` lists them.")] = "",
    data: Annotated[list[str] | None, typer.Option(help="A data set that must be where it runs, as `flowers` or `flowers@2`; may be given again.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it runs.")] = True,
    json: Json = False,
) -> None:
    """Launch a lab."""
    from . import labs

    labs.launch(labs.Wish(name, image, gpus, model, cpus, memory, shm, hours, template, tuple(data or ())), wait=wait)


@app.command()
def templates(json: Json = False) -> None:
    """List what a lab can begin with."""
    from . import labs

    labs.templates()


@app.command()
def ls(all_: Annotated[bool, typer.Option("--all", "-a", help="Ended ones too.")] = False, json: Json = False) -> None:
    """List your labs."""
    from . import labs

    labs.ls(ended=all_)


@app.command()
def stop(lab: LabName, json: Json = False) -> None:
    """Stop a lab. Files stay."""
    from . import labs

    labs.stop(lab)


@app.command()
def extend(lab: LabName, hours: Annotated[int, typer.Option(help="Hours from now.")] = 4, json: Json = False) -> None:
    """Let a running lab go on for longer."""
    from . import labs

    labs.act(lab, "extend", {"hours": hours}, "{name} runs until {ends}.")


@app.command()
def keep(lab: LabName, hours: Annotated[int, typer.Option(help="Hours in which nothing need use it.")] = 4, json: Json = False) -> None:
    """Keep a lab that is about to be stopped because nothing uses it."""
    from . import labs

    labs.act(lab, "keep", {"hours": hours}, "{name} is kept.")


@app.command(name="open")
def open_(lab: LabName, json: Json = False) -> None:
    """Open a lab's page in the browser."""
    from . import labs

    labs.open_page(lab)


@app.command()
def logs(
    lab: LabName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
    json: Json = False,
) -> None:
    """The last lines of a lab's log."""
    from . import jobs

    jobs.logs(lab, follow=follow)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def run(
    command: Annotated[list[str], typer.Argument(help="The program and its arguments, after --.")],
    name: Annotated[str, typer.Option(help="A name for the job.")] = "",
    folder: Annotated[str, typer.Option(help="Where it begins, below /workspace.")] = "",
    image: Annotated[str, typer.Option(help="Part of an image's name, or its id.")] = "",
    gpus: Annotated[int, typer.Option(help="Whole GPUs.")] = 0,
    model: Annotated[str, typer.Option(help="A GPU model.")] = "",
    cpus: Annotated[int, typer.Option(help="CPU cores.")] = 4,
    memory: Annotated[int, typer.Option(help="GiB.")] = 16,
    shm: Annotated[int, typer.Option(help="GiB of shared memory; 0 for half of the memory.")] = 0,
    hours: Annotated[int, typer.Option(help="It is ended after that.")] = 4,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait for it.")] = False,
    cron: Annotated[str, typer.Option(help='Not now, but by the clock, as crontab writes it: "0 */6 * * *". Needs --name.')] = "",
    json: Json = False,
) -> None:
    """Run a program as a job: it waits for its GPUs, runs, keeps its log and results, and ends by itself."""
    from . import jobs, labs

    wish = labs.Wish(name, image, gpus, model, cpus, memory, shm, hours)
    if cron:
        jobs.schedule(wish, command, folder, cron=cron)
    else:
        sys.exit(jobs.run(wish, command, folder, detach=detach))


@app.command(name="jobs")
def jobs_(
    remove: Annotated[str, typer.Option(metavar="NAME", help="Let this one start no more; what it has run stays.")] = "",
    json: Json = False,
) -> None:
    """List your jobs that start by themselves, or remove one."""
    from . import jobs

    if remove:
        jobs.remove(remove)
    else:
        jobs.kept()


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def ssh(lab: LabName, command: Annotated[list[str] | None, typer.Argument(help="A command; left out, a shell.")] = None) -> None:
    """Open a shell in a lab, or run a command in it."""
    from . import shell

    shell.ssh(lab, command or [])


@app.command(name="config-ssh")
def config_ssh(json: Json = False) -> None:
    """Write entries for your labs into ~/.ssh, so that ssh, scp and editors know them by name."""
    from . import shell

    shell.config_ssh()


@app.command()
def cp(
    source: Annotated[str, typer.Argument(help="A file or folder, or LAB:path.")],
    target: Annotated[str, typer.Argument(help="The same.")],
    json: Json = False,
) -> None:
    """Copy files to a lab or from it: gpulab cp data.zip LAB:data/"""
    from . import shell

    shell.cp(source, target)


@app.command()
def key(
    file: Annotated[str, typer.Argument(help="Your public key; left out, ~/.ssh/id_ed25519.pub.")] = "",
    json: Json = False,
) -> None:
    """Add your SSH key to your account, so that ssh and cp let you in."""
    from . import shell

    shell.key_add(file)


@app.command()
def top(once: Annotated[bool, typer.Option("--once", help="Print once and end.")] = False, json: Json = False) -> None:
    """The GPUs, live."""
    from . import watch

    watch.top(once=once)


@app.command()
def images(
    image: Annotated[str, typer.Argument(metavar="[IMAGE]", help="Part of its name, or its id: all that is known of it.")] = "", json: Json = False
) -> None:
    """The images that labs can be launched from, or one of them."""
    from . import house

    if image:
        house.image(image)
    else:
        house.images()


@app.command()
def quota(json: Json = False) -> None:
    """What you may have, hold, and have left."""
    from . import house

    house.quota()


@app.command()
def queue(json: Json = False) -> None:
    """Who waits, and about when their turn comes."""
    from . import house

    house.queue()


@app.command()
def tidy(
    look: Annotated[bool, typer.Option("--look", help="Look through your files again.")] = False,
    clear: Annotated[list[str] | None, typer.Option("--clear", help="A cache to empty: pip, huggingface, torch or conda. May be given again.")] = None,
    json: Json = False,
) -> None:
    """What checkpoints and caches take in your workspace; --clear empties caches."""
    from . import tidy

    if clear:
        tidy.clear(clear)
    else:
        tidy.shown(look=look)
