"""Settings come from the environment, and a wrong one is named."""

import pytest

from app import config

URL = "postgresql://vars_app:s%40cret@db:6432/vars"


def load(tmp_path, dotenv="", **environ):
    path = tmp_path / ".env"
    if dotenv:
        path.write_text(dotenv)
    return config.load(environ, path)


def test_database_url_is_split():
    database = config.parse_database_url(URL)
    assert database == ("db", 6432, "vars", "vars_app", "s@cret")
    assert "s@cret" not in repr(database) and "s@cret" not in str(database)


def test_defaults(tmp_path):
    settings = load(tmp_path, DATABASE_URL="postgres://u@h/d?sslmode=disable")
    assert settings.database == ("h", 5432, "d", "u", None)
    assert (settings.port, settings.mutating_get) == (8080, True)
    assert settings.pod


def test_environment_is_read(tmp_path):
    environ = {"DATABASE_URL": URL, "PORT": "81", "POD_NAME": "web-1", "MUTATING_GET": "off", "REQUEST_DEADLINE": "0.5"}
    settings = load(tmp_path, **environ)
    assert (settings.port, settings.pod, settings.mutating_get, settings.request_deadline) == (81, "web-1", False, 0.5)


def test_dotenv_gives_way_to_the_environment(tmp_path):
    dotenv = f"# comment\nexport DATABASE_URL='{URL}'\nPORT=90\nPOD_NAME=file\n\nnonsense\n"
    settings = load(tmp_path, dotenv, PORT="91")
    assert (settings.port, settings.pod) == (91, "file")


def test_dotenv_is_not_read_in_production(tmp_path):
    with pytest.raises(config.ConfigError, match="DATABASE_URL is not set"):
        load(tmp_path, f"DATABASE_URL={URL}", APP_ENV="production")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mysql://u:hunter2@h/d",
        "postgresql://h/d",
        "postgresql://u:hunter2@h",
        "postgresql://u:hunter2@h/",
        "postgresql://u:hunter2@h:port/d",
        "postgresql://u:hunter2@h:99999/d",
        "postgresql://u:hunter2@h/d?sslmode=require",
        "postgresql://u:hunter2@h/d?target=x",
        "postgresql://u:hunter2@h/d?nonsense",
    ],
)
def test_bad_urls_are_refused_without_showing_the_password(url):
    with pytest.raises(config.ConfigError) as caught:
        config.parse_database_url(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "x"), ("PORT", "70000"), ("THREADS", "0"), ("MUTATING_GET", "maybe"), ("REQUEST_DEADLINE", "nan")],
)
def test_bad_values_name_the_variable(tmp_path, name, value):
    with pytest.raises(config.ConfigError, match=name):
        load(tmp_path, DATABASE_URL=URL, **{name: value})


@pytest.mark.parametrize(("value", "expected"), [("on", True), ("TRUE", True), ("0", False), ("No", False)])
def test_switches(tmp_path, value, expected):
    assert load(tmp_path, DATABASE_URL=URL, MUTATING_GET=value).mutating_get is expected
