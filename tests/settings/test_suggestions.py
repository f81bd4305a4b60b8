from celeriac.settings.suggestions import did_you_mean, nearest


def test_the_nearest_name_is_found_whatever_its_case() -> None:
    assert nearest("Task_Acks_Lat", ["task_acks_late", "task_annotations"]) == "task_acks_late"


def test_a_name_that_is_like_none_has_no_suggestion() -> None:
    assert nearest("frobnicate", ["task_acks_late"]) is None
    assert did_you_mean("frobnicate", ["task_acks_late"]) == ""


def test_the_question_names_the_suggestion() -> None:
    assert did_you_mean("brokerurl", ["broker_url"]) == '; did you mean "broker_url"?'
