"""What every command shares: a parser made from a configuration, and one clear line for mistakes.

A command names its configuration class; its fields become flags, its docstrings help text.
`--config` reads them from a YAML file, flags given after it override it, and `--print_config`
shows the result. Mistakes of the user (`ValueError`, `TypeError`, `OSError`), and what does not fit
into memory, end with one line on stderr and exit status 2; set ATMODIST_DEBUG=1 to see the
traceback as well.
"""

import dataclasses
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from atmodist.cli.wording import WordingHelpFormatter, complaint

Config = TypeVar("Config")

EXIT_MISTAKE = 2  # as argparse itself exits on a wrong flag
EXIT_SIGNAL = 128  # plus the number of a signal, as shells report: 130 after Ctrl-C


class CommandParser(ArgumentParser):
    """A parser whose complaints are one line: what is wrong, and where help is."""

    switches: frozenset[str] = frozenset()  # flags of booleans, which may stand without "true"

    def spell_out(self, argv: Sequence[str] | None) -> list[str]:
        """The arguments as flags are named: `--skip-broken` becomes `--skip_broken true`."""
        words = [self._underscored(w) for w in (sys.argv[1:] if argv is None else argv)]
        for i in reversed(range(len(words))):
            following = "".join(words[i + 1 : i + 2]).lower()
            if words[i] in self.switches and following not in ("true", "false"):
                words.insert(i + 1, "true")
        return words

    def _underscored(self, word: str) -> str:
        name, equals, value = word.partition("=")
        flag = "--" + name[2:].replace("-", "_")
        known = name.startswith("--") and flag in self._option_string_actions
        return f"{flag}{equals}{value}" if known else word

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Ends the command with one line on stderr and status 2."""
        text = complaint(str(message), self._actions)
        print(f"{self.prog}: error: {text} (help: {self.prog} --help)", file=sys.stderr)
        raise SystemExit(EXIT_MISTAKE)


def command_parser(
    prog: str,
    config_class: type,
    *,
    positional: str | Sequence[str] | None = None,
    nargs: str | None = None,
) -> CommandParser:
    """Makes the parser of one command.

    Args:
        prog: The command as it is typed, for instance "rplearn-data".
        config_class: A dataclass; its docstring opens the help, its fields become flags.
        positional: Name of the field given without a flag, if any, or names in their order.
        nargs: How many values each positional takes, as in argparse ("+" for one or more).
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    summary = (config_class.__doc__ or "").strip().splitlines()[0]
    parser = CommandParser(
        prog=prog,
        description=summary,
        parser_mode="yaml",
        allow_abbrev=False,
        formatter_class=WordingHelpFormatter,
    )
    parser.add_argument(
        "--config", action="config", help="YAML file of settings; flags after it override it."
    )
    names = (positional,) if isinstance(positional, str) else tuple(positional or ())
    for name in names:
        field = config_class.__dataclass_fields__[name]  # type: ignore[attr-defined]
        parser.add_argument(name, nargs=nargs, type=str, help=field.metadata.get("help", "Input."))
    parser.add_class_arguments(config_class, None, skip=set(names))
    fields = dataclasses.fields(config_class)
    helps = {field.name: field.metadata["help"] for field in fields if "help" in field.metadata}
    for action in parser._actions:  # help that was put together, which no docstring can be
        action.help = helps.get(action.dest, action.help)
    parser.switches = frozenset(
        f"--{field.name}" for field in fields if field.type in (bool, "bool", bool | None)
    )
    return parser


def run_command(
    parser: CommandParser,
    config_class: Callable[..., Config],
    argv: Sequence[str] | None,
    action: Callable[[Config], str],
) -> int:
    """Parses `argv`, calls `action` with the configuration, prints its closing line.

    Returns:
        The exit status: 0, or 2 after a mistake of the user, or 130 after Ctrl-C, 143 after
        SIGTERM where that is waited for.
    """
    return guarded(parser.prog, lambda: action(_configuration(parser, config_class, argv)))


def guarded(prog: str, action: Callable[[], str]) -> int:
    """Runs `action`, prints what it returns; a user's mistake becomes one line and status 2.

    What the library warns users of (`UserWarning`) is one line on stderr as well.
    """
    try:
        with _warnings_in_one_line(prog):
            closing = action()
        print(closing)
    except (ValueError, TypeError, OSError, MemoryError) as error:
        if os.environ.get("ATMODIST_DEBUG"):
            raise
        print(f"{prog}: error: {_one_line(error)}", file=sys.stderr)
        return EXIT_MISTAKE
    except KeyboardInterrupt as interruption:
        told = str(interruption) or "interrupted; run the same command again to go on."
        print(f"\n{prog}: {told}", file=sys.stderr)
        return EXIT_SIGNAL + getattr(interruption, "signal_number", signal.SIGINT)
    return 0


def require_paths(**paths: str | os.PathLike[str] | None) -> None:
    """Says at once what is missing, before TensorFlow loads.

    Args:
        **paths: Files or folders by the names of their options; "hf://..." and None are passed.

    Raises:
        FileNotFoundError: If one is not there.
    """
    for name, path in paths.items():
        if path is not None and not str(path).startswith("hf://") and not Path(path).exists():
            what = "file" if Path(path).suffix else "folder"
            raise FileNotFoundError(f"{name}: there is no {what} {path}")


def _configuration(
    parser: CommandParser, config_class: Callable[..., Config], argv: Sequence[str] | None
) -> Config:
    # Values of nested dataclasses are instances already; the top level is a namespace.
    settings: Namespace = parser.instantiate(parser.parse_args(parser.spell_out(argv)))
    values: dict[str, Any] = {k: v for k, v in vars(settings).items() if k != "config"}
    return config_class(**values)


@contextmanager
def _warnings_in_one_line(prog: str) -> Iterator[None]:
    with warnings.catch_warnings():  # puts back what is replaced here
        usual = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any, **options: Any) -> None:
            if category is UserWarning:
                print(f"{prog}: warning: {_one_line(message)}", file=sys.stderr)
            else:
                usual(message, category, *where, **options)

        warnings.showwarning = show
        yield


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"not enough memory: {text}" if text else "not enough memory"
    return text or type(error).__name__
