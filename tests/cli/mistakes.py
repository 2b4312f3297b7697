"""How commands must end after a mistake of the user: one line on stderr, status 2."""


def mistake(main, arguments, capsys):
    """Calls a command that must fail, and returns its one line.

    Args:
        main: The `main` of the command; what it prints on stdout must be nothing.
        arguments: What it is called with.
        capsys: The fixture of the test.
    """
    try:
        status = main(arguments)
    except SystemExit as error:  # as argparse ends
        status = error.code
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1, err
    return err
