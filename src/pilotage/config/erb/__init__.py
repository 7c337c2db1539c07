"""The Ruby in ``deploy.yml``: a small, honest evaluator for what real files contain.

A Kamal file is an ERB template. Nearly all that people write in one is a handful of forms (``ENV``,
``||``, a ternary, ``File.read``, a backtick with git), and those are evaluated here without Ruby:

::

    template.scan     text → text, code and output parts
    lexer.tokens      code → tokens
    parser.parse      parts → nodes (`nodes`)
    evaluate.run      nodes → text; commands run only when the caller allows it
    ruby.render       everything else, through ``ruby`` where it is installed

Used by `pilotage.config.load` alone.
"""

from __future__ import annotations

from pilotage.config.erb.rendered import Context, NotRun, Rendered

__all__ = ["Context", "NotRun", "Rendered", "render"]


def render(template: str, shown: str, context: Context) -> Rendered:
    """The text of a template. ``shown`` is the file's name in messages.

    Raises
    ------
    ConfigError
        The template says no, a command cannot be run, or it holds Ruby that nobody here can run.
    """
    if "<%" not in template:
        return Rendered(template)
    from pilotage.config.erb.rendering import render_erb

    return render_erb(template, shown, context)
