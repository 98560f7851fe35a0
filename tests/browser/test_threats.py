"""Scripts in every field, in a real browser: none runs, and the content security policy has nothing to stop."""

from __future__ import annotations

from tests.browser.conftest import log_in
from tests.forms import logged_in, submit
from tests.gemini.replies import Raw
from tests.serving import chat

PAYLOAD = "\"'><img src=x onerror=window.pwned=1><script>window.pwned=2</script>{{window.pwned=3}}${window.pwned=4}"
PAGES = (
    *("/", "/admin/", "/admin/dashboard/", "/admin/keys/key/", "/admin/keys/key/1/change/", "/admin/keys/member/"),
    *(
        "/admin/keys/group/",
        "/admin/proxy/requestlog/",
        "/admin/proxy/blockedmodel/",
        "/admin/proxy/settings/1/change/",
    ),
)


def test_no_payload_runs_on_any_page(here, visit) -> None:
    with logged_in(here.server) as admin:
        submit(admin, "/admin/keys/group/add/", name="Group of notes", note=PAYLOAD)
        submit(admin, "/admin/keys/member/add/", name="Member of notes", note=PAYLOAD, password="xss-member-1")
        submit(admin, "/admin/keys/key/1/change/", label=PAYLOAD[:80])
        submit(admin, "/admin/proxy/blockedmodel/add/", pattern="blocked-*", note=PAYLOAD[:200])
        submit(admin, "/admin/proxy/settings/1/change/", search_prompt=PAYLOAD)
    said = b'{"error": {"code": 403, "message": "<img src=x onerror=window.pwned=5>", "status": "<script>"}}'
    here.gemini.always(Raw(403, said, (("content-type", "application/json"),)), model="gemini-2.5-flash")
    with here.server.client("xss-member-1", headers={"user-agent": PAYLOAD}) as client:
        client.post("/v1/chat/completions", json=chat(PAYLOAD))
        client.post("/v1/chat/completions", json=chat(model=PAYLOAD))
    page = visit(here, "/admin/login/?next=/admin/")
    log_in(page)

    for path in PAGES:
        page.goto(path)
        page.wait_for_timeout(300)
        assert page.evaluate("() => window.pwned") is None, path
    page.goto("/admin/keys/member/")
    page.click("text=Member of notes")
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.pwned") is None
    assert "onerror=window.pwned" in page.input_value("[name=note]")
