"""The lab's command line: python -m lab setup|up|down|status|exec|logs|clean-cache|demo|demo-ha|demo-talos.

Exit codes: 0 done, 1 the lab is not fully up or a stage failed, 2 wrong usage or something missing;
exec gives its command's.
"""

import argparse
import os
import sys

from lab import LabError, lab_dir


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m lab", description="The lab: see lab/README.md.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name, function, text):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(function=function)
        return command

    add("setup", setup, "install and build what the lab needs: packages, programs, the machines' file system")
    names = add("up", up, "start the lab, or those of its daemons that do not run").add_argument
    names("name", nargs="*", help="only these daemons")
    add("down", down, "stop the lab; leaves no process, mount, namespace or loop device")
    add("status", status, "show what runs, and where")
    run = add("exec", execute, "run a command in the lab's network, with its environment")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND …")
    logs_ = add("logs", logs, "show the end of a log: a daemon's, or a step's of the setup")
    logs_.add_argument("name")
    logs_.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    add("clean-cache", clean_cache, "remove what this checkout's lab does not use from the cache")
    for name, function, text in (
        ("demo", demo, "one commit becomes two running machines"),
        ("demo-ha", demo_ha, "one commit becomes a K3s cluster of several machines, which then loses one"),
        ("demo-talos", demo_talos, "one commit becomes a Talos cluster of two machines"),
    ):
        show = add(name, function, text)
        show.set_defaults(help=text)
        show.add_argument("argv", nargs=argparse.REMAINDER, metavar="STEP")
    return top


def setup(_args) -> int:
    from lab import setup as steps

    steps.everything()
    return 0


def up(args) -> int:
    from lab import daemons, parts
    from lab import setup as steps

    for name in args.name:
        parts.find(name)
    steps.everything()
    started = daemons.up(args.name or parts.NAMES)
    print(f"started: {', '.join(started)}" if started else "the lab was already up")
    return 0


def down(_args) -> int:
    from lab import daemons

    daemons.down()
    print("the lab is down")
    return 0


def clean_cache(_args) -> int:
    import shutil

    from lab import builds, cache_dir, packages, talos, template

    used = {builds.entry(build.name).name for build in builds.BUILDS} | {template.image().parent.name}
    used.add(talos.entry().name)
    used |= {packages.fetched(program).parent.name for program in packages.PROGRAMS}
    names = (*(build.name for build in builds.BUILDS), *packages.PROGRAMS, "qemu", "rootfs", "talosimage")
    made = tuple(f"{name}-" for name in names)
    for entry in sorted(cache_dir().glob("*-*")):
        if entry.name.startswith(made) and entry.name not in used:
            print(f"removing {entry}")
            shutil.rmtree(entry)
    return 0


def status(_args) -> int:
    from lab import daemons, network

    states = daemons.status()
    print(f"lab in {lab_dir()}, network {network.path() if network.exists() else 'not there'}")
    for item in states:
        print(f"{item.name:10} {item.state:10} {item.pid or '-':<8} {item.address}")
    print(f"machines   {', '.join(daemons.machines()) or 'none runs'}")
    return 0 if all(item.state == "runs" for item in states) else 1


def execute(args) -> int:
    from lab import network
    from lab.environment import environment

    argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    if not argv:
        raise LabError("exec needs a command: python -m lab exec -- COMMAND …")
    if not network.exists():
        raise LabError("the lab is not up: python -m lab up")
    os.execvpe("nsenter", network.inside_argv(argv), environment())


def logs(args) -> int:
    from lab import process

    if not process.logfile(args.name).is_file():
        known = sorted(path.stem for path in process.logfile("x").parent.glob("*.log"))
        raise LabError(f"there is no log of {args.name!r}; there are {', '.join(known) or 'none yet'}")
    if args.follow:
        for line in process.follow(args.name):
            print(line, end="", flush=True)
    print(process.tail(args.name, 200))
    return 0


def demo(args) -> int:
    from lab.demo import changes, creation, run, workloads

    steps = {"create": creation.create, **changes.STEPS}
    alone = {"workloads": workloads.workloads}  # it builds helm, and takes more memory
    # `remove` takes the HAProxy machine away.
    return run.run("demo", steps, args.help, args.argv, creation.create, alone)


def demo_ha(args) -> int:
    from lab.demo import ha, run

    return run.run("demo-ha", ha.STEPS, args.help, args.argv)


def demo_talos(args) -> int:
    from lab.demo import run, talos

    return run.run("demo-talos", talos.STEPS, args.help, args.argv)


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        return args.function(args)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
