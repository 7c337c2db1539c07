"""The rest of Ruby, through ``ruby`` where it is installed. It may run anything, so the caller asks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pilotage.config.erb.nodes import Unsupported
from pilotage.errors import ConfigError

_PROGRAM = """
require "erb"
module Kamal
  VERSION = "2.11.0"
  module Utils
    def self.docker_arch
      { "x86_64" => "amd64", "aarch64" => "arm64" }.fetch(`uname -m`.strip, `uname -m`.strip)
    end
  end
end
begin
  erb = ERB.new($stdin.read, trim_mode: "-")
  erb.filename = "deploy.yml"
  print erb.result(TOPLEVEL_BINDING)
rescue Exception => error
  line = (error.backtrace || []).map { |at| at[/\\Adeploy\\.yml:(\\d+)/, 1] }.compact.first
  line ||= error.message[/\\Adeploy\\.yml:(\\d+)/, 1]
  warn [line, error.class, error.message.lines.first.to_s.strip].join("\\t")
  exit 3
end
"""


def render(
    template: str, shown: str, environ: Mapping[str, str], root: Path, reason: Unsupported
) -> str:
    """The text of a template, by Ruby's own ERB.

    Raises
    ------
    ConfigError
        Ruby is not installed, or the template fails.
    """
    program = shutil.which("ruby", path=environ.get("PATH"))
    if program is None:
        raise ConfigError(
            f"this ERB needs Ruby itself, because of {reason.what}, and `ruby` is not installed",
            where=f"{shown}:{reason.line}",
            next="install Ruby, or write it with ENV, ENV.fetch, || and ?:",
        )
    done = subprocess.run(
        [program, "-e", _PROGRAM],
        input=template.encode(),
        cwd=root,
        env=dict(environ),
        capture_output=True,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "replace")
    last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    line, _, message = last.partition("\t")
    where = f"{shown}:{line}" if line.isdecimal() else f"{shown}:{reason.line}"
    raise ConfigError(f"its ERB fails: {message.replace(chr(9), ': ') or last}", where=where)
