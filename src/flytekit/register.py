"""`pyflyte serialize fast` and then `flyte-cli fast-register-files`, in one interpreter.

The start of an interpreter with flytekit is most of the time of each. Arguments: those of pyflyte, of which the last is the
folder that it writes to; `--register`; and those of flyte-cli without the files.
"""

import os
import sys

NO_FLYTEKIT, NOT_LOADED, NOT_REGISTERED = 3, 4, 5


def chain(error):
    """The errors behind an error, the first cause last."""
    while error is not None:
        yield error
        inner = error.code if isinstance(error, SystemExit) and isinstance(error.code, BaseException) else None
        error = inner or error.__cause__ or error.__context__


def said(error):
    """What an error says; of one of gRPC, the server's words, which flytekit leaves out."""
    for one in chain(error):
        if callable(getattr(one, "details", None)) and callable(getattr(one, "code", None)):
            return f"{one.code().name}: {one.details()}"
        if callable(getattr(one, "format_message", None)):
            return one.format_message()
    return f"{type(error).__name__}: {error}"


def call(command, args):
    """Runs a command of click's; an error where it does not succeed."""
    try:
        command.main(args, standalone_mode=False)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise


def fill_in_everywhere(helpers):
    """Lets flyte-cli fill in project, domain and version in array nodes, as which map tasks are written from 1.12 on, and in
    failure nodes: it knows neither."""
    of_node, of_template = helpers._hydrate_node, helpers._hydrate_workflow_template_nodes

    def node(project, domain, version, one):
        if "array_node" in one.DESCRIPTOR.fields_by_name and one.HasField("array_node"):
            inner = one.array_node.node
            inner.CopyFrom(node(project, domain, version, inner))
        return of_node(project, domain, version, one)

    def template(project, domain, version, one):
        if one.HasField("failure_node"):
            one.failure_node.CopyFrom(node(project, domain, version, one.failure_node))
        return of_template(project, domain, version, one)

    helpers._hydrate_node, helpers._hydrate_workflow_template_nodes = node, template


def main():
    try:
        import flytekit.clis.flyte_cli.main as flyte_cli
        import flytekit.clis.sdk_in_container.pyflyte as pyflyte
    except ImportError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return NO_FLYTEKIT
    split = sys.argv.index("--register")
    serialize, register = sys.argv[1:split], sys.argv[split + 1 :]
    sys.argv = ["pyflyte"]
    try:
        call(pyflyte.main, serialize)
    except SystemExit as end:
        # flytekit has printed the rest of it.
        if isinstance(end.code, BaseException):
            print(f"{type(end.code).__name__}: {end.code}", file=sys.stderr)
        elif isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return NOT_LOADED
    except Exception:
        import traceback

        traceback.print_exc()
        return NOT_LOADED
    output = serialize[-1]
    files = sorted(os.path.join(output, name) for name in os.listdir(output))
    try:
        import flytekit.clis.helpers as helpers

        fill_in_everywhere(helpers)
    except (ImportError, AttributeError):
        pass
    try:
        call(flyte_cli._flyte_cli, register + files)
    except (Exception, SystemExit) as error:
        print(said(error), file=sys.stderr)
        return NOT_REGISTERED
    return 0


sys.exit(main())
