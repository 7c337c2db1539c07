"""The Ruby in deploy.yml. Every expected text is what Ruby's own ERB gives (``trim_mode: "-"``)."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import pytest

from pilotage.config import load_config
from pilotage.config.erb import Context, NotRun, render
from pilotage.config.erb.nodes import Unsupported
from pilotage.config.erb.parser import parse
from pilotage.config.erb.template import scan
from pilotage.errors import ConfigError

ENVIRON = {"X": "x value", "EMPTY": "", "LIST": "a, b ,c", "PATH": "/usr/bin:/bin"}

PLAIN = [
    # literals
    ("<%= 'single' %>", "single"),
    ('<%= "double" %>', "double"),
    ("<%= 42 %>", "42"),
    ("<%= 1_000 %>", "1000"),
    ("<%= 1.5 %>", "1.5"),
    ("<%= -3 %>", "-3"),
    ("<%= true %> <%= false %> [<%= nil %>]", "true false []"),
    ("<%= :symbol %>", "symbol"),
    (r"<%= 'it\'s' %>", "it's"),
    (r"<%= 'a\nb' %>", r"a\nb"),
    (r'<%= "a\tb" %>', "a\tb"),
    (r'<%= "say \"hi\"" %>', 'say "hi"'),
    ("<%= %q(a 'b' (c)) %>", "a 'b' (c)"),
    ('<%= %Q(a "b" #{1 + 1}) %>', 'a "b" 2'),
    ("<%= %w[a b c].join('-') %>", "a-b-c"),
    ("<%= ['a', 'b'].join(', ') %>", "a, b"),
    ('<%= "in #{ENV["X"]} out" %>', "in x value out"),
    ('<%= "nested #{"inner #{1}"}" %>', "nested inner 1"),
    ("<%= 'a' + 'b' %>", "ab"),
    ("<%= 2 * 3 + 1 %>", "7"),
    ("<%= 7 / 2 %>", "3"),
    ("<%= (1 + 2) * 3 %>", "9"),
    # the environment
    ('<%= ENV["X"] %>', "x value"),
    ("<%= ENV['NONE'] %>", ""),
    ('<%= ENV["NONE"] || "default" %>', "default"),
    ('<%= ENV["EMPTY"] || "default" %>', ""),
    ('<%= ENV.fetch("X") %>', "x value"),
    ('<%= ENV.fetch("NONE", "d") %>', "d"),
    ('<%= ENV.fetch("NONE") { "block" } %>', "block"),
    ('<%= ENV.fetch("NONE") { |name| name.downcase } %>', "none"),
    ('<%= ENV.fetch("NONE", nil) %>', ""),
    ('<%= ENV.fetch "X" rescue "" %>', None),
    ('<%= ENV.key?("X") %>', "true"),
    ('<% ENV["NEW"] = "set" %><%= ENV["NEW"] %>', "set"),
    ('<% ENV["X"] ||= "other" %><%= ENV["X"] %>', "x value"),
    ('<% ENV["Y"] ||= "other" %><%= ENV["Y"] %>', "other"),
    # logic
    ('<%= ENV["X"] ? "yes" : "no" %>', "yes"),
    ('<%= ENV["NONE"] ? "yes" : "no" %>', "no"),
    ('<%= ENV["X"] == "x value" ? 1 : 2 %>', "1"),
    ('<%= ENV["X"] != "a" && !false %>', "true"),
    ("<%= nil || false || 'c' %>", "c"),
    ("<%= nil && 'c' %>", ""),
    ("<%= 1 < 2 and 2 >= 2 %>", "true"),
    ("<%= not true %>", "false"),
    ("<%= false ? 1 : true ? 2 : 3 %>", "2"),
    ("<%= 'a' if true %>", "a"),
    ("<%= 'a' unless true %>", ""),
    ("<% if true %>A<% else %>B<% end %>", "A"),
    ("<% if false %>A<% elsif nil %>B<% else %>C<% end %>", "C"),
    ("<% unless ENV['X'] %>A<% else %>B<% end %>", "B"),
    ("<% if true then %>A<% end %>", "A"),
    ("<%= if true then 'a' else 'b' end %>", "a"),
    ("<% x = 1; y = x + 1 %><%= y %>", "2"),
    ("<% x ||= 5 %><% x += 1 %><%= x %>", "6"),
    ("<% a = b = 3 %><%= a + b %>", "6"),
    ("<%\n  x = 1\n  y = 2\n%><%= x + y %>", "3"),
    ("<% # a comment\n x = 1 %><%= x %>", "1"),
    # methods
    ("<%= ' a '.strip %>", "a"),
    ("<%= 'a'.upcase.downcase.capitalize %>", "A"),
    ('<%= "a\\n".chomp %>', "a"),
    ("<%= 'a,b'.split(',').last %>", "b"),
    ("<%= ENV['LIST'].split(',').map(&:strip).join('/') %>", "a/b/c"),
    ("<%= ENV['LIST'].split(',').map { |x| x.strip.upcase }.join %>", "ABC"),
    ("<%= %w[a bb].select { |x| x.size > 1 }.first %>", "bb"),
    ("<%= ['a', nil].compact.length %>", "1"),
    ("<%= ['', 'a'].reject(&:empty?).first %>", "a"),
    ("<%= 'abc'[0] + 'abc'[-1] + 'abc'[0, 2] %>", "acab"),
    ("<%= 'abc'.start_with?('ab') && 'abc'.end_with?('c', 'd') %>", "true"),
    ("<%= 'abc'.include?('b') %>", "true"),
    ("<%= 'a-b'.gsub('-', '_').sub('a', 'c') %>", "c_b"),
    ("<%= 'a/b'.tr('/', '-') %>", "a-b"),
    ("<%= '12'.to_i + '3x'.to_i %>", "15"),
    ("<%= nil.to_s.empty? %>", "true"),
    ("<%= nil&.strip.nil? %>", "true"),
    ("<%= %w[b a b].uniq.sort.reverse.join %>", "ba"),
    ("<%= 'refs/heads/x'.delete_prefix('refs/heads/') %>", "x"),
    ("<%= [1, 2].any? { |x| x > 1 } && [1].all? { |x| x == 1 } %>", "true"),
    ("<% %w[a b].each do |x| %>[<%= x %>]<% end %>", "[a][b]"),
    ("<% %w[a b].each { |x| %>[<%= x %>]<% } %>", "[a][b]"),
    ("<%= ENV['X']\n  .upcase\n  .split(' ')\n  .first %>", "X"),
    # trimming, escapes
    ("a <%% b %%> c", "a <% b %%> c"),
    ("<%= '%%>' %>", "%>"),
    ("<%# gone %>x", "x"),
    ("  <%- x = 1 -%>\ny<%= x -%>\nz", "y1z"),
    ("a\n<% if true -%>\nb\n<% end -%>\nc", "a\nb\nc"),
    ("a\n<% if true %>\nb\n<% end %>\nc", "a\n\nb\n\nc"),
    # files
    ("<%= File.read('version').strip %>", "3.3.0"),
    ("<%= File.exist?('version') ? 1 : 2 %><%= File.exist?('none') %>", "1false"),
    ("<%= IO.read(File.join('.', 'version')).chomp %>", "3.3.0"),
    ("<%= File.basename('/a/b.txt') + File.dirname('/a/b.txt') %>", "b.txt/a"),
    # commands
    ("<%= `echo out` %>", "out\n"),
    ("<%= %x(echo out).strip %>", "out"),
    ("<%= %x{echo #{ENV['X']}}.chomp %>", "x value"),
    ("<%= `false`.strip.empty? %>", "true"),
    ("<%= `echo a; exit 3`.strip %>", "a"),
]

ONLY_WITH_RAILS = [
    ("<%= ENV['EMPTY'].presence || 'd' %>", "d"),
    ("<%= ''.blank? && 'a'.present? && nil.blank? %>", "true"),
    ("<%= 'Feature/My Branch'.parameterize %>", "feature-my-branch"),
    ("<%= ' a   b '.squish %>", "a b"),
]


def _context(root: Path, *, run: bool = True) -> Context:
    (root / "version").write_text("3.3.0\n")
    return Context(dict(ENVIRON), root, run_commands=run)


@pytest.mark.parametrize(("template", "text"), [*PLAIN, *ONLY_WITH_RAILS])
def test_evaluates_as_ruby_does(template: str, text: str | None, tmp_path: Path) -> None:
    if text is None:
        with pytest.raises(Unsupported):
            parse(scan(template))
        return
    assert render(template, "deploy.yml", _context(tmp_path)).text == text


def test_the_kamal_helper_needs_no_docker(tmp_path: Path) -> None:
    text = render("<%= Kamal::Utils.docker_arch %>", "f", _context(tmp_path, run=False)).text
    names = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    assert text == names.get(platform.machine(), platform.machine())


def test_dotenv_fills_the_environment_and_does_not_override_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("X=from file\nNEW='new' # comment\nBOTH=$X-$NEW\n")
    (tmp_path / "other.env").write_text("X=other\n")
    template = "<% require 'dotenv'; Dotenv.load %><%= ENV['X'] %>|<%= ENV['BOTH'] %>"
    assert render(template, "f", _context(tmp_path)).text == "x value|x value-new"
    template = "<% Dotenv.overload('other.env') %><%= ENV['X'] %>"
    assert render(template, "f", _context(tmp_path)).text == "other"
    with pytest.raises(ConfigError, match=r"none\.env does not exist"):
        render("<% Dotenv.load!('none.env') %>", "f", _context(tmp_path))


@pytest.mark.parametrize(
    ("template", "line", "says"),
    [
        ('a\nb: <%= ENV.fetch("NONE") %>', 2, "NONE is not set"),
        ("a\n\n<%= File.read('none') %>", 3, "none: cannot be read"),
        ("<% raise 'set STAGE' unless ENV['STAGE'] %>", 1, "set STAGE"),
        ("a\n<%= `no-such-command-here` %>", 2, "no-such-command-here"),
    ],
)
def test_errors_name_the_line(template: str, line: int, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        render(template, "deploy.yml", _context(tmp_path))
    assert caught.value.where == f"deploy.yml:{line}"
    assert says in caught.value.what


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("a\n<%= Time.now.to_i.zero? %>", 2),
        ("a\nb\n<%= [1].inject(:+) %>", 3),
        ("<%= 'a' =~ /b/ %>", 1),
        ("<%= {a: 1}[:a] %>", 1),
        ("<% def f; 1; end %>", 1),
        ("<%= ENV['X' %>", 1),
        ("a\n<%= 1", 2),
        ("<% if true %>", 1),
        ('<%= "a\\u0041" %>', 1),
        ("<%= ENV.to_h %>", 1),
        ("<%= unknown %>", 1),
        ("<%= ['list'] %>", 1),
    ],
)
def test_other_ruby_waits_for_the_word(template: str, line: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        render(template, "deploy.yml", _context(tmp_path, run=False))
    assert caught.value.where == f"deploy.yml:{line}"
    assert "--allow-erb-commands" in caught.value.next


def test_other_ruby_goes_through_ruby(tmp_path: Path) -> None:
    context = _context(tmp_path)
    template = "x: <%= [1, 2].inject(:+) %>\ny: <%= Kamal::Utils.docker_arch %>\n"
    if shutil.which("ruby", path=ENVIRON["PATH"]) is None:
        with pytest.raises(ConfigError, match="`ruby` is not installed"):
            render(template, "deploy.yml", context)
        return
    assert render(template, "deploy.yml", context).text.startswith("x: 3\ny: a")
    with pytest.raises(ConfigError, match="ZeroDivisionError: divided by 0") as caught:
        render("a\n<%= [1].sum { |x| x / 0 } %>", "deploy.yml", context)
    assert caught.value.where == "deploy.yml:2"


def test_without_ruby_the_error_says_so(tmp_path: Path) -> None:
    context = Context({"PATH": str(tmp_path)}, tmp_path, run_commands=True)
    with pytest.raises(ConfigError, match="`ruby` is not installed") as caught:
        render("a\n<%= Time.now %>", "deploy.yml", context)
    assert caught.value.where == "deploy.yml:2"


# ---------------------------------------------------------------------- comments


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("# <%= `touch ran` %>\na: 1", "# <%= `touch ran` %>\na: 1"),
        ("a: 1 # <%= `touch ran` %>", "a: 1 # <%= `touch ran` %>"),
        ("  # <%= `touch ran`\n %>\na: <%= 1 %>", "  # <%= `touch ran`\n %>\na: 1"),
        ("a: '#' # <% if x %>", "a: '#' # <% if x %>"),
        ('a: "# <%= 1 %>"', 'a: "# 1"'),
        ("a: b#<%= 1 %>", "a: b#1"),
        ("a: <%= 1 %> # <%= `touch ran` %>", "a: 1 # <%= `touch ran` %>"),
        ("a: it's # <%= `touch ran` %>", "a: it's # <%= `touch ran` %>"),
        ("a: |\n  # <%= 1 %>\nb: 2 # <%= `touch ran` %>", "a: |\n  # 1\nb: 2 # <%= `touch ran` %>"),
        ("a: >-\n  x\n  # <%= 1 %>\n\n  # <%= 2 %>\n", "a: >-\n  x\n  # 1\n\n  # 2\n"),
    ],
)
def test_a_comment_is_ignored(template: str, text: str, tmp_path: Path) -> None:
    assert render(template, "f", _context(tmp_path)).text == text
    assert not (tmp_path / "ran").exists()


# ---------------------------------------------------------------------- commands that do not run


def test_a_command_that_was_not_run_reads_so(tmp_path: Path) -> None:
    template = "a: v-<%= `touch ran; echo '\"#: {'`.strip[0] %>\nb: <%= 1 %>\n"
    rendered = render(template, "deploy.yml", _context(tmp_path, run=False))
    assert not (tmp_path / "ran").exists()
    assert rendered.not_run == ("deploy.yml:1: touch ran; echo '\"#: {'",)
    value = rendered.text.splitlines()[0].removeprefix("a: ")
    restored = rendered.restore(value)
    assert isinstance(restored, NotRun)
    assert restored == "v-[not run: touch ran; echo '\"#: {']"


def test_a_branch_on_a_command_is_an_error(tmp_path: Path) -> None:
    template = "a: 1\n<% if `git branch`.strip == 'main' %>b: 2<% end %>"
    with pytest.raises(ConfigError, match="depends on the output of a command") as caught:
        render(template, "deploy.yml", _context(tmp_path, run=False))
    assert caught.value.where == "deploy.yml:2"
    assert "--allow-erb-commands" in caught.value.next


def test_a_number_from_a_command_falls_back_to_its_default(tmp_path: Path) -> None:
    path = tmp_path / "deploy.yml"
    path.write_text(
        "service: a\ntarget: local\n"
        "proxy:\n  app_port: <%= `echo 3000` %>\n"
        "servers:\n  web:\n    cmd: run <%= `echo x` %>\n    instances: <%= `echo 2`.to_i %>\n"
    )
    config = load_config(path, environ=ENVIRON)
    assert config.proxy.app_port == 80
    assert config.role("web").instances == 1
    assert config.role("web").cmd == "run [not run: echo x]"
    assert config.not_run == (
        "deploy.yml:4: echo 3000",
        "deploy.yml:7: echo x",
        "deploy.yml:8: echo 2",
    )
    assert not config.digest_is_certain("web")
    config = load_config(path, environ=ENVIRON, run_commands=True)
    assert config.proxy.app_port == 3000
    assert (config.role("web").instances, config.role("web").cmd) == (2, "run x")
    assert config.not_run == ()
    assert config.digest_is_certain("web")


# ---------------------------------------------------------------------- lines


def test_lines_survive_loops_and_values_of_several_lines(tmp_path: Path) -> None:
    template = (
        "a: 1\n"  # 1
        "<% %w[x y].each do |v| -%>\n"  # 2
        "<%= v %>: |\n"  # 3
        '  <%= "m\\n  n" %>\n'  # 4
        "<% end -%>\n"  # 5
        "last: 1\n"  # 6
    )
    rendered = render(template, "f", _context(tmp_path))
    lines = rendered.text.splitlines()
    assert lines == ["a: 1", "x: |", "  m", "  n", "y: |", "  m", "  n", "last: 1"]
    assert [rendered.line(i) for i in range(1, 9)] == [1, 3, 4, 4, 3, 4, 4, 6]
