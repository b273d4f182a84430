"""The command line: its root, and how errors become one message and an exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from inbond.api.cli import (
    asking,
    backing,
    catalogue,
    data,
    databases,
    deciding,
    declaring,
    deriving,
    exporting,
    keys,
    ledger,
    obligations,
    operating,
    reporting,
    serving,
    setup,
    terms,
    tokens,
    training,
    withdrawing,
    witnessing,
)
from inbond.api.cli.commands import CONTEXT, Group
from inbond.api.cli.failures import explained, interrupted
from inbond.api.cli.output import echo, error_lines, problem
from inbond.schemas.errors import InbondError, InvalidInput

INTERRUPTED = 130
READER_LEFT = 141  # as a shell reports a program that SIGPIPE ended


class Root(Group):
    """The root group: whatever a command raises ends here."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command line in `args` and leave with its exit code."""
        words = list(sys.argv[1:] if args is None else args)
        self._main_shell_completion({}, "inbond", complete_var)
        code = self.run(words)
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            code = _reader_left()
        except OSError as error:  # the answer itself has no room; what of it was said already is said
            code = code or _fail(explained(error, words), words)
            _drop_output()
        sys.exit(code)

    def run(self, words: list[str]) -> int:
        """The exit code of a line, after its output."""
        command = None
        try:
            with self.make_context("inbond", list(words)) as context:
                try:
                    self.invoke(context)
                finally:
                    command = context.invoked_subcommand
                sys.stdout.flush()
            return 0
        except click.exceptions.Exit as leaving:
            return leaving.exit_code
        except click.exceptions.NoArgsIsHelpError as error:
            echo(error.format_message())
            return 2
        except click.UsageError as error:
            return _fail(_usage(error), words)
        except click.ClickException as error:
            return _fail(InvalidInput(error.format_message()), words)
        except (KeyboardInterrupt, EOFError, click.Abort):
            echo(interrupted(command, words), err=True)
            return INTERRUPTED
        except BrokenPipeError:
            return _reader_left()
        except Exception as error:
            if os.environ.get("INBOND_DEBUG") == "1" and not isinstance(error, InbondError):
                import traceback

                traceback.print_exc()
            return _fail(explained(error, words), words)


@click.group(
    cls=Root,
    context_settings=CONTEXT,
    epilog="""inbond init warehouse --origin example.org/warehouse
    cd warehouse
    inbond import messages chat.jsonl --teacher openai/gpt-4o@2024-05-13 --create""",
)
@click.version_option(package_name="inbond", message="inbond %(version)s")
def cli() -> None:
    """A registry of what teacher models said, with a ledger of who learned from it."""


_MODULES = (
    setup,
    data,
    exporting,
    deriving,
    training,
    asking,
    ledger,
    catalogue,
    terms,
    obligations,
    deciding,
    declaring,
    withdrawing,
    reporting,
    operating,
    backing,
    databases,
    keys,
    serving,
    tokens,
    witnessing,
)

for _module in _MODULES:
    for _each in _module.COMMANDS:
        cli.add_command(_each)


def main() -> NoReturn:
    """The entry point of the command `inbond`."""
    cli.main()


def _usage(error: click.UsageError) -> InbondError:
    path = error.ctx.command_path if error.ctx else "inbond"
    return InvalidInput(error.format_message(), hint=f"{path} --help")


def _fail(error: InbondError, words: Sequence[str]) -> int:
    if _wants_json(words):
        import msgspec

        echo(msgspec.json.encode(problem(error)).decode(), err=True)
    else:
        for line in error_lines(error):
            echo(line, err=True)
    return error.exit_code


def _wants_json(words: Sequence[str]) -> bool:
    """Known before the line is parsed, as parsing may be what fails."""
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def _reader_left() -> int:
    """Whoever read our output has gone; what follows is lost, so it is no success, and nothing to talk about."""
    _drop_output()
    return READER_LEFT


def _drop_output() -> None:
    """Let what could not be written go nowhere, so that Python does not try again when it leaves."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
