"""Each vendor's command lines, exactly, and what is read out of what it prints.

The argvs and the names of the results were recorded from Kamal 2.11.0 with the same stand-ins; where
ours differ it is said.
"""

from __future__ import annotations

import pytest

from pilotage.errors import ConfigError
from pilotage.vaults import ADAPTERS, fetch


def field(reference: str, value: str) -> dict[str, str]:
    """As ``op item get --format json`` shows one."""
    label = reference.rpartition("/")[2]
    return {"id": "x", "type": "STRING", "label": label, "value": value, "reference": reference}


def test_1password_with_a_session(vendor):
    vendor.install("op")
    vendor.teach("account get --account me", status=1)
    text = 'export OP_SESSION_my="s3ss10n"\n# This command is meant to be used with eval.\n'
    vendor.teach("signin", text)
    vendor.teach(
        "item get Item", [field("op://Vault/Item/F1", "v1"), field("op://Vault/Item/S/F2", "ü")]
    )
    vendor.teach("item get Other", field("op://Vault/Other/password", "pw"))
    found = fetch(
        "1password",
        ["Item/F1", "Item/S/F2", "op://Vault/Other"][:2],
        account="me",
        source="Vault",
        environ=vendor.environ,
        terminal=True,
    )
    assert found == {"Vault/Item/F1": "v1", "Vault/Item/S/F2": "ü"}
    common = ["--format", "json", "--account", "me"]
    assert vendor.asked() == [
        ["op", "account", "get", "--account", "me"],
        ["op", "signin", "--account", "me", "--force"],  # Kamal: --raw, and --session in each argv
        [
            "op",
            "item",
            "get",
            "Item",
            "--vault",
            "Vault",
            *common,
            "--fields",
            "label=F1,label=S.F2",
        ],
    ]
    assert vendor.sessions()[-1] == {"OP_SESSION_my": "s3ss10n"}


def test_1password_passwords_and_whole_items(vendor):
    vendor.install("op").teach("account get")
    vendor.teach(
        "item get I --vault V", {"fields": [field("op://V/I/A", "1"), {"id": "n", "label": "l"}]}
    )
    vendor.teach("item get I2", field("op://V2/I2/password", "pw"))
    asked = {"account": "me", "environ": vendor.environ}
    assert fetch("1password", ["op://V2/I2"], **asked) == {"V2/I2": "pw"}
    assert fetch("1password", [], source="V/I", **asked) == {"V/I/A": "1"}
    assert vendor.asked()[-1] == [
        *("op", "item", "get", "I", "--vault", "V", "--format", "json", "--account", "me"),
    ]


def test_lastpass(vendor):
    vendor.install("lpass").teach("status", "Logged in as me@x.\n")
    entry = {"id": "1", "name": "A", "username": "", "url": ""}
    vendor.teach(
        "show",
        [
            {**entry, "fullname": "Fold/A", "password": "pa"},
            {**entry, "fullname": "Fold/B/C", "password": "pc"},
        ],
    )
    asked = {"account": "me@x", "source": "Fold", "environ": vendor.environ}
    assert fetch("lastpass", ["A", "B/C"], **asked) == {"Fold/A": "pa", "Fold/B/C": "pc"}
    assert vendor.asked()[-1] == ["lpass", "show", "Fold/A", "Fold/B/C", "--json"]
    with pytest.raises(ConfigError, match="LastPass has no Fold/D"):
        fetch("lastpass", ["A", "D"], **asked)


def test_lastpass_logs_in(vendor):
    vendor.install("lpass").teach("status", "Not logged in.\n", status=1).teach("login me@x")
    vendor.teach("show", [{"fullname": "A", "password": "pa"}])
    found = fetch("lastpass", ["A"], account="me@x", environ=vendor.environ, terminal=True)
    assert found == {"A": "pa"}
    assert ["lpass", "login", "me@x"] in vendor.asked()


def test_bitwarden_unlocks_and_keeps_the_session_out_of_sight(vendor):
    session = {"BW_SESSION": "s3ss10n"}
    vendor.install("bw")
    vendor.teach("status", {"status": "unlocked"}, session=session)
    vendor.teach("status", {"status": "locked"}).teach("unlock --raw", "s3ss10n\n").teach("sync")
    vendor.teach("get item mypw", {"object": "item", "login": {"password": "pw"}})
    item = {"fields": [{"name": "F1", "value": "v1"}, {"name": "F2", "value": "v2"}], "login": None}
    vendor.teach("get item it", item)
    asked = {"account": "me@x", "environ": vendor.environ, "terminal": True}
    assert fetch("bitwarden", ["mypw", "it"], **asked) == {
        "mypw": "pw",
        "it/F1": "v1",
        "it/F2": "v2",
    }
    assert vendor.asked() == [
        ["bw", "status"],
        ["bw", "unlock", "--raw"],
        ["bw", "status"],
        ["bw", "sync"],
        ["bw", "get", "item", "mypw"],
        ["bw", "get", "item", "it"],
    ]
    assert vendor.sessions() == [{}, {}, session, session, session, session]
    assert fetch("bitwarden", ["F2"], source="it", **asked) == {"it/F2": "v2"}
    with pytest.raises(ConfigError, match="Bitwarden has no it/F3"):
        fetch("bitwarden", ["it/F3"], **asked)


def test_bitwarden_secrets_manager(vendor):
    vendor.install("bws").teach("project list", [])
    secret = {"object": "secret", "id": "i", "key": "KEY1", "value": "v 1"}
    vendor.teach("secret list proj", [secret]).teach(
        "secret list", [secret, {**secret, "key": "K2"}]
    )
    vendor.teach("secret get ID", secret)
    asked = {"environ": vendor.environ}
    assert fetch("bitwarden-sm", ["ID"], **asked) == {"KEY1": "v 1"}
    assert fetch("bitwarden-sm", ["all"], **asked) == {"KEY1": "v 1", "K2": "v 1"}
    assert fetch("bitwarden-sm", ["all"], source="proj", **asked) == {"KEY1": "v 1"}
    assert [argv for argv in vendor.asked() if argv[1] == "secret"] == [
        ["bws", "secret", "get", "ID"],
        ["bws", "secret", "list"],
        ["bws", "secret", "list", "proj"],
    ]


def test_aws(vendor):
    vendor.install("aws").teach(
        "secretsmanager",
        {
            "SecretValues": [
                {"ARN": "arn:1", "Name": "sec", "SecretString": '{"KEY1":"V1","PORT":5432}'},
                {"ARN": "arn:2", "Name": "plain", "SecretString": "str"},
            ],
            "Errors": [],
        },
    )
    found = fetch("aws_secrets_manager", ["sec", "plain"], account="prof", environ=vendor.environ)
    assert found == {"sec/KEY1": "V1", "sec/PORT": "5432", "plain": "str"}
    ids = ("--secret-id-list", "sec", "plain")
    assert vendor.asked() == [
        [
            "aws",
            "secretsmanager",
            "batch-get-secret-value",
            *ids,
            "--profile",
            "prof",
            "--output",
            "json",
        ]
    ]


def test_aws_names_what_is_missing(vendor):
    error = {
        "SecretId": "nope",
        "ErrorCode": "ResourceNotFoundException",
        "Message": "can't find it",
    }
    vendor.install("aws").teach("secretsmanager", {"SecretValues": [], "Errors": [error]})
    with pytest.raises(ConfigError, match=r"has no nope \(can't find it\)"):
        fetch("aws_secrets_manager", ["nope"], environ=vendor.environ)


def test_gcp(vendor):
    vendor.install("gcloud").teach("auth list", [{"account": "x", "status": "ACTIVE"}])
    vendor.teach("secrets", {"name": "projects/p", "payload": {"data": "djEK"}})
    asked = {"environ": vendor.environ}
    found = fetch("gcp", ["s1", "p/s2/7"], account="default", **asked)
    assert found == {"default/s1": "v1\n", "p/s2": "v1\n"}
    fetch("gcp_secret_manager", ["S"], account="u@x|sa@y", source="p", **asked)
    access = ("gcloud", "secrets", "versions", "access")
    assert [argv for argv in vendor.asked() if argv[1] == "secrets"] == [
        [*access, "latest", "--secret=s1", "--format=json"],
        [*access, "7", "--secret=s2", "--project=p", "--format=json"],
        [
            *(*access, "latest", "--secret=S", "--project=p", "--account=u@x"),
            *("--impersonate-service-account=sa@y", "--format=json"),
        ],
    ]


def test_doppler(vendor):
    vendor.install("doppler").teach("me --json")
    vendor.teach("secrets get", {"S1": {"computed": "v1", "note": ""}, "S2": {"computed": "v2"}})
    asked = {"source": "proj/prd", "environ": vendor.environ}
    assert fetch("doppler", ["S1", "S2"], **asked) == {"S1": "v1", "S2": "v2"}
    assert vendor.asked() == [
        ["doppler", "me", "--json"],
        ["doppler", "secrets", "get", "S1", "S2", "--json", "-p", "proj", "-c", "prd"],
    ]
    token = {**vendor.environ, "DOPPLER_TOKEN": "dp.st.prd.x"}
    fetch("doppler", ["S1"], environ=token)
    assert vendor.asked()[-1] == ["doppler", "secrets", "get", "S1", "--json"]
    with pytest.raises(ConfigError, match="needs a project"):
        fetch("doppler", ["S1"], environ=vendor.environ)


def test_enpass(vendor):
    item = {"category": "computer", "login": "", "title": "FooBar", "type": "password"}
    vendor.install("enpass-cli").teach(
        "-json",
        [{**item, "label": "S1", "password": "p1"}, {**item, "label": "S2", "password": "p2"}],
    )
    asked = {"source": "/v/primary", "environ": vendor.environ}
    assert fetch("enpass", ["FooBar"], **asked) == {"FooBar/S1": "p1", "FooBar/S2": "p2"}
    assert fetch("enpass", ["FooBar/S1"], **asked) == {"FooBar/S1": "p1"}
    assert vendor.asked()[-1] == ["enpass-cli", "-json", "-vault", "/v/primary", "show", "FooBar"]
    with pytest.raises(ConfigError, match="Enpass has no FooBar/S3"):
        fetch("enpass", ["FooBar/S3"], **asked)


def test_passbolt(vendor):
    vendor.install("passbolt").teach("verify")
    vendor.teach("list folders --filter", [{"id": "f1", "folder_parent_id": "", "name": "a"}])
    vendor.teach("list resources", [{"id": "r", "name": "S1", "password": "p1"}])
    asked = {"environ": vendor.environ}
    assert fetch("passbolt", ["S1"], source="a", **asked) == {"S1": "p1"}
    assert vendor.asked() == [
        ["passbolt", "verify"],
        ["passbolt", "list", "folders", "--filter", 'Name == "a"', "--json"],
        [
            *("passbolt", "list", "resources"),
            *("--filter", '(Name == "S1" && FolderParentID == "f1")', "--folder", "f1", "--json"),
        ],
    ]
    fetch("passbolt", ["S1"], **asked)
    assert vendor.asked()[-1][3:] == ["--filter", 'Name == "S1"', "--json"]


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_program_that_is_missing_is_named(name, vendor):
    program = ADAPTERS[name].program
    with pytest.raises(ConfigError, match=f"`{program}`, which is not installed"):
        fetch(name, ["A"], account="me", source="/v", environ=vendor.environ)


NOT_LOGGED_IN = {
    "1password": ("op", [("account get", 1)], "`op signin --account me --force`"),
    "lastpass": ("lpass", [("status", 1)], "`lpass login me`"),
    "doppler": ("doppler", [("me", 1)], "`doppler login -y`"),
    "bitwarden-sm": ("bws", [("project list", 1)], "BWS_ACCESS_TOKEN"),
    "passbolt": ("passbolt", [("verify", 1)], "`passbolt configure`"),
}


@pytest.mark.parametrize("name", NOT_LOGGED_IN)
def test_without_a_person_a_log_in_is_asked_for(name, vendor):
    program, answers, following = NOT_LOGGED_IN[name]
    vendor.install(program)
    for words, status in answers:
        vendor.teach(words, status=status)
    with pytest.raises(ConfigError, match="nobody is logged in") as refused:
        fetch(name, ["A/B"], account="me", source=None, environ=vendor.environ)
    assert following in refused.value.next


def test_a_refusal_names_the_secret_and_quotes_the_complaint(vendor):
    vendor.install("op").teach("account get")
    vendor.teach("item get", status=1, err='[ERROR] "Item" isn\'t an item in the "Vault" vault\n')
    with pytest.raises(ConfigError) as refused:
        fetch("1password", ["Vault/Item/F"], account="me", environ=vendor.environ)
    assert "1Password did not give F of Vault/Item" in refused.value.what
    assert "isn't an item" in refused.value.what


def test_what_cannot_be_read_is_not_quoted(vendor):
    vendor.install("lpass").teach("status", "Logged in as me.\n").teach("show", "[hush-hush")
    with pytest.raises(ConfigError, match="is no JSON") as refused:
        fetch("lastpass", ["A"], account="me", environ=vendor.environ)
    vendor.answers.clear()
    vendor.teach("status", "Logged in as me.\n").teach("show", [{"hush-hush": "hush-hush"}])
    with pytest.raises(ConfigError, match="a form that is not known") as other:
        fetch("lastpass", ["A"], account="me", environ=vendor.environ)
    for error in (refused.value, other.value):
        assert (
            "hush" not in f"{error.what}{error.next}{error.__cause__}{error.__suppress_context__}"
        )


def test_an_adapter_that_is_not_there_and_an_account_that_is_needed(vendor):
    with pytest.raises(ConfigError, match="no adapter 'nope'"):
        fetch("nope", ["A"], environ=vendor.environ)
    with pytest.raises(ConfigError, match="1Password needs --account"):
        fetch("1password", ["A"], environ=vendor.environ)
