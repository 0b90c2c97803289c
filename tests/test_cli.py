import os
import signal
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["--mode", "check", "--dataset", "synthetic"]])
def test_output_that_nobody_reads_ends_quietly(root, arguments):
    """As after ``| head``, whose end of the pipe is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "main.py", *arguments], cwd=root, stdout=writing, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(writing)
    assert (done.stderr, done.returncode) == ("", 128 + signal.SIGPIPE)
