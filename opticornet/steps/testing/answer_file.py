"""The file of answers that a test writes on request."""

import sys
from pathlib import Path

from opticornet.evaluation.answer_sheet import AnswerSheet, SheetSide
from opticornet.evaluation.answering.answer import Answer
from opticornet.evaluation.no_answer import NoAnswer
from opticornet.evaluation.scene import Scene
from opticornet.options.modes import TestOptions
from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path


def check_answers(options: TestOptions, scene: Scene) -> None:
    """Raise :class:`UserError` where the data lacks what the format of the answers holds, or a folder is in the way."""
    if Path(options.answers).is_dir():
        raise UserError(f"`answers` {options.answers}: a folder of that name exists; give a file in it")
    options.part("answers_format").check(SheetSide.of(scene.query), SheetSide.of(scene.reference))


def write_answers(options: TestOptions, scene: Scene, answer: Answer, no_answer: NoAnswer | None) -> None:
    """Write the answers in the chosen format.

    Raises:
        UserError: they cannot be said in it, or the file cannot be written.
    """
    sheet = AnswerSheet.of(scene.reference, scene.query, answer.ranking, options.answers_top_k, no_answer)
    columns = sheet.references.shape[1]
    if columns < options.answers_top_k and "answers_top_k" in options.given and not options.quiet:
        print(f"note: only {columns} answers per query are ranked, {options.answers} holds those", file=sys.stderr)
    path = options.answers.replace("{split}", options.split)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.writelines(f"{line}\n" for line in options.part("answers_format").lines(sheet))
    print(f"answers: {path}")
