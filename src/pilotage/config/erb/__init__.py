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

from pilotage.config.erb.rendered import Context, NotRun, Rendered, render

__all__ = ["Context", "NotRun", "Rendered", "render"]
