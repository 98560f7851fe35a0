"""SillyTavern in a real browser against `manage.py serve`: what its users must see, point by point.

Run it with `make sillytavern`. Each point is one that people meet: connect, stream, errors, stop, images ...
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.gemini import FakeGemini, answer, blocked, error, reset
from tests.points import Points
from tests.serving import Server
from tests.sillytavern import tavern
from tests.sillytavern.tavern import Tavern

STORY = "Once upon a time there was a small orange cat that kept all the keys of the village."
PLAIN, THINKER, CUT, BLOCKED, TIRED = (
    "gemini-2.0-flash",
    "gemini-2.5-pro",
    "gemini-2.0-flash-lite",
    "gemini-2.5-flash-lite",
    "gemini-2.5-flash",
)
SLOW = "gemini-3-flash-preview"
PAINTER = "gemini-2.5-flash-image"
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
DICE = """
SillyTavern.getContext().registerFunctionTool({
    name: 'roll_the_dice', displayName: 'Dice', description: 'Roll a die.',
    parameters: {$schema: 'http://json-schema.org/draft-04/schema#', type: 'object',
                 properties: {sides: {type: 'integer'}}, required: ['sides']},
    action: async ({sides}) => `a four of ${sides}`, formatMessage: () => '',
});
"""
POST_PROCESSING = ("", "merge", "merge_tools", "semi", "semi_tools", "strict", "strict_tools", "single")


def set_the_scene(gemini: FakeGemini) -> None:
    """Give each model a story of its own."""
    gemini.always(answer(STORY, delay=0.03))
    gemini.always(answer(STORY, thoughts="The cat must be orange.", delay=0.03), model=THINKER)
    gemini.always(answer(STORY, delay=0.05, fault=reset(6)), model=CUT)
    gemini.always(blocked("PROHIBITED_CONTENT"), model=BLOCKED)
    gemini.always(error("per_day"), model=TIRED)


def toasts(run: dict[str, Any]) -> str:
    """Return everything the page complained about."""
    return " | ".join(f"{toast['title']}: {toast['message']}" for toast in run["toasts"])


def with_streaming(st: Tavern, gemini: FakeGemini, points: Points) -> None:
    """Points 1, 2, 5, 6, 7, 10, 17: one visit to the page with streaming on, as it is by default."""
    shown: dict[str, Any] = {}
    with points.point("the page can be driven, streaming on"):
        shown = st.ui(PLAIN, THINKER, CUT, BLOCKED, TIRED, message="Tell me a story")
    runs = {run["model"]: run for run in shown.get("runs", [])}
    with points.point("1 connect lists the models, the first of them a sane chat model"):
        models = shown["connect"]["models"]
        assert PLAIN in models, models
        assert sorted(models)[0].startswith("gemini-"), models
        assert not [name for name in models if "embedding" in name or "imagen" in name or name == "aqa"], models
        assert not shown["connect"]["toasts"], shown["connect"]
    with points.point("2 a streamed reply grows on the page and is complete"):
        assert runs[PLAIN]["text"].strip() == STORY, runs[PLAIN]
        assert runs[PLAIN]["updates"] > 1, runs[PLAIN]
        assert runs[PLAIN]["finished"]
        assert not runs[PLAIN]["toasts"]
    with points.point("10 thoughts appear as reasoning, not as text"):
        assert "orange" in (runs[THINKER]["reasoning"] or ""), runs[THINKER]
        assert runs[THINKER]["text"].strip() == STORY
    with points.point("17 with the page's own max_tokens of 300 a thinking model has room for visible text"):
        asked = next(call.body for call in gemini.generated if call.model == THINKER)
        assert asked["generationConfig"]["maxOutputTokens"] > 300, asked
        assert runs[THINKER]["text"].strip() == STORY
    with points.point("7 an upstream that dies mid-stream leaves the text so far, an error, and no spinner"):
        assert runs[CUT]["finished"], runs[CUT]
        assert runs[CUT]["toasts"], runs[CUT]
        assert STORY.startswith(runs[CUT]["text"].strip()[:20]), runs[CUT]
        assert runs[CUT]["text"].strip()
    with points.point("6 a blocked prompt is told with its category, not shown as a blank reply"):
        assert "PROHIBITED_CONTENT" in toasts(runs[BLOCKED]), runs[BLOCKED]
        assert runs[BLOCKED]["lastIsUser"], runs[BLOCKED]
    with points.point("5 with every key exhausted the page says so"):
        assert runs[TIRED]["toasts"], runs[TIRED]
        assert "key" in toasts(runs[TIRED]).lower(), runs[TIRED]
        assert runs[TIRED]["lastIsUser"]


def without_streaming(st: Tavern, points: Points) -> None:
    """Points 3, 5 and 18: streaming off, where the page shows nothing of an error but its reason phrase."""
    shown: dict[str, Any] = {}
    with points.point("the page can be driven, streaming off"):
        shown = st.ui(PLAIN, TIRED, BLOCKED, stream="false", test_message=True)
    runs = {run["model"]: run for run in shown.get("runs", [])}
    with points.point("3 a reply without streaming"):
        assert runs[PLAIN]["text"].strip() == STORY, runs[PLAIN]
    with points.point("5 with every key exhausted the reason phrase tells it"):
        assert "key" in toasts(runs[TIRED]).lower(), runs[TIRED]
    with points.point("6 a blocked prompt's category stands in the reason phrase"):
        assert "PROHIBITED_CONTENT" in toasts(runs[BLOCKED]), runs[BLOCKED]
    with points.point("18 the Test Message button is content"):
        assert not [toast for toast in shown["testMessage"]["toasts"] if toast["kind"] == "error"], shown["testMessage"]


def acts(st: Tavern, gemini: FakeGemini, points: Points) -> None:
    """Points 4, 9, 11 to 14 and swipes: what people do on the page."""
    with points.point("4 a wrong password is told"):
        run = st.ui(PLAIN, key="not-the-password", type_model=PLAIN)["runs"][0]
        assert "password" in toasts(run).lower(), run
    with points.point("a private Space: the platform's token as the key, the password in a header"):
        run = st.ui(PLAIN, key="hf_thePlatformsToken", include_headers=f"x-api-key: {st.password}", type_model=PLAIN)
        assert run["runs"][0]["text"].strip() == STORY, run
    with points.point("9 Stop ends the call to Gemini at once"):
        gemini.replies(answer(STORY, delay=0.5), model=PLAIN)
        run = st.ui(PLAIN, stop_after=2500)["runs"][0]
        gemini.wait_until(lambda: gemini.generated[-1].ended == "client_gone", 5)
        assert gemini.generated[-1].sent < 16, gemini.generated[-1]
        assert len(run["text"]) < len(STORY), run
    with points.point("11 a picture goes in"):
        picture = st.folder / "dot.png"
        picture.write_bytes(PICTURE)
        run = st.ui(PLAIN, image=picture, set={"media_inlining": True})["runs"][0]
        assert run["text"].strip() == STORY, run
        assert "inlineData" in json.dumps(gemini.bodies[-1]), gemini.bodies[-1]
    with points.point("12 three swipes at once (n=3)"):
        run = st.ui(PLAIN, set={"n": 3})["runs"][0]
        assert len(run["swipes"]) == 3, run
        assert all(run["swipes"]), run
    with points.point("13 a tool is called, and its result comes back"):
        call = {"functionCall": {"name": "roll_the_dice", "args": {"sides": 6}}}
        gemini.replies(answer("", parts=(call,)), answer("You rolled a four."), model=PLAIN)
        run = st.ui(PLAIN, eval=DICE, set={"n": 1, "function_calling": True})["runs"][0]
        assert run["text"].strip() == "You rolled a four.", run
        assert run["toolInvocations"][0]["name"] == "roll_the_dice", run
        assert "a four of 6" in json.dumps(gemini.bodies[-1]["contents"][-1]["parts"]), gemini.bodies[-1]
    with points.point("a picture that the model draws is shown, and does not come back with the next message"):
        data = base64.b64encode(PICTURE).decode()
        drawn = ({"text": "Here it is: "}, {"inlineData": {"mimeType": "image/png", "data": data}})
        gemini.replies(answer("", parts=drawn), model=PAINTER)
        run = st.ui(PAINTER, set={"function_calling": False})["runs"][0]
        assert f'<img src="data:image/png;base64,{data}"' in run["html"], run
        history = [{"role": "assistant", "content": run["raw"]}, {"role": "user", "content": "Again"}]
        assert st.generate(PLAIN, history)["text"] == STORY
        assert data not in json.dumps(gemini.bodies[-1]), gemini.bodies[-1]
    with points.point("14 Continue sends the reply so far, and its text grows"):
        gemini.clear()
        set_the_scene(gemini)
        run = st.ui(PLAIN, action="continue", set={"function_calling": False, "continue_prefill": True})["runs"][0]
        assert len(run["text"]) > len(STORY), run
        last = gemini.bodies[-1]["contents"][-1]
        assert last["role"] == "model", last
        assert STORY in last["parts"][-1]["text"], last
    with points.point("a swipe brings a second reply"):
        run = st.ui(PLAIN, action="swipe", set={"continue_prefill": False})["runs"][0]
        assert len(run["swipes"]) == 2, run
        assert run["text"].strip() == STORY


def addresses_and_forms(st: Tavern, points: Points) -> None:
    """Points 15 and 16: every way to write the address, every form SillyTavern gives a prompt."""
    messages = [
        {"role": "system", "content": "Write the cat's next reply."},
        {"role": "system", "content": "[Start a new Chat]"},
        {"role": "assistant", "content": "Meow."},
        {"role": "user", "content": "Hello"},
        {"role": "system", "content": "Keep it short."},
    ]
    for form in POST_PROCESSING:
        with points.point(f"15 prompt post-processing {form or 'none'}"):
            shown = st.generate(PLAIN, messages, post=form)
            assert shown["http"] == 200, shown
            assert shown["text"] == STORY, shown
            assert shown["done_marker"], shown
    root = st.base.removesuffix("/v1")
    for base in (f"{root}/v1/", root, f"{root}/", f"{root}/v1/chat/completions"):
        with points.point(f"16 the address ...{base.removeprefix(root) or ' without /v1'}"):
            assert PLAIN in st.status(base)["models"], st.status(base)
            assert st.generate(PLAIN, messages, base=base)["text"] == STORY


def googles_own_source(st: Tavern, gemini: FakeGemini, points: Points) -> None:
    """SillyTavern's Google AI Studio source with us as its reverse proxy: Gemini's own dialect."""
    messages = [{"role": "system", "content": "Be a cat."}, {"role": "user", "content": "Hello"}]
    source = {
        "chat_completion_source": "makersuite",
        "reverse_proxy": st.base.removesuffix("/v1"),
        "proxy_password": st.password,
    }
    with points.point("the Google source, whole"):
        shown = st.generate(PLAIN, messages, stream=False, **source)
        assert shown["text"] == STORY, shown
    with points.point("the Google source, streamed"):
        shown = st.generate(PLAIN, messages, **source)
        assert shown["http"] == 200, shown
        assert '"candidates"' in shown["raw_head"], shown
        assert shown["events"] > 1, shown
    with points.point("the Google source calls a function"):
        gemini.replies(answer("", parts=({"functionCall": {"name": "roll", "args": {}}},)), model=PLAIN)
        die = {"type": "object", "properties": {"sides": {"type": "integer"}}}
        roll = {"type": "function", "function": {"name": "roll", "description": "Roll.", "parameters": die}}
        shown = st.generate(PLAIN, messages, tools=[roll], tool_choice="auto", **source)
        assert '"functionCall"' in shown["raw_head"], shown
        assert "roll" in json.dumps(gemini.bodies[-1]["tools"]), gemini.bodies[-1]
    with points.point("the Google source sends a function's result back to its call"):
        called = {"id": "call-1", "type": "function", "function": {"name": "roll", "arguments": '{"sides": 6}'}}
        steps = [
            *messages,
            {"role": "assistant", "content": "", "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "call-1", "content": "a four"},
        ]
        shown = st.generate(PLAIN, steps, stream=False, tools=[roll], tool_choice="auto", **source)
        assert shown["text"] == STORY, shown
        *_, model_turn, result_turn = gemini.bodies[-1]["contents"]
        assert model_turn["parts"][-1]["functionCall"] == {"name": "roll", "args": {"sides": 6}}, model_turn
        [result] = result_turn["parts"]
        assert result["functionResponse"]["name"] == "roll", result_turn
        assert "a four" in json.dumps(result), result_turn
    data = base64.b64encode(PICTURE).decode()
    with points.point("the Google source sends a picture in"):
        look = [
            {"type": "text", "text": "Look."},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        ]
        shown = st.generate(PLAIN, [{"role": "user", "content": look}], stream=False, **source)
        assert shown["text"] == STORY, shown
        assert {"mimeType": "image/png", "data": data} in [
            part.get("inlineData") for part in gemini.bodies[-1]["contents"][-1]["parts"]
        ], gemini.bodies[-1]
    for stream in (False, True):
        with points.point(f"the Google source gets a picture out, {'streamed' if stream else 'whole'}"):
            drawn = ({"text": "Here it is: "}, {"inlineData": {"mimeType": "image/png", "data": data}})
            gemini.replies(answer("", parts=drawn), model=PAINTER)
            shown = st.generate(PAINTER, messages, stream=stream, request_images=True, **source)
            # The driver keeps the first 400 characters.
            assert '"inlineData":{"mimeType":"image/png"' in shown["raw_head"], shown
            assert "IMAGE" in json.dumps(gemini.bodies[-1]["generationConfig"]).upper(), gemini.bodies[-1]
    with points.point("the Google source is told why it is refused"):
        shown = st.generate(PLAIN, messages, stream=False, **{**source, "proxy_password": "not-the-password"})
        assert "password" in json.dumps(shown["error"] or shown["raw_head"]).lower(), shown


def patience(st: Tavern, gemini: FakeGemini, points: Points) -> None:
    """Point 8: nothing on the way may give up on a slow model."""
    with points.point("8 a reply that takes more than 60 s arrives"):
        gemini.always(answer(STORY, before=65), model=SLOW)
        run = st.ui(SLOW, timeout=120)["runs"][0]
        assert run["text"].strip() == STORY, run
        assert run["finished"]
        assert not run["toasts"], run


def main() -> int:
    """Run every point; the exit code is 0 when all held, or when the machine lacks what it takes."""
    lacking = tavern.missing()
    if lacking:
        print(f"SKIPPED SillyTavern: {lacking}")
        return 0
    tavern.install()
    points = Points()
    with tempfile.TemporaryDirectory(prefix="hajimi-st-") as folder, FakeGemini() as gemini:
        set_the_scene(gemini)
        # True streaming, so that the page can be seen growing; the random letters would stand in the prompt.
        choices = {"GEMINI_BASE_URL": gemini.url, "FAKE_STREAMING": False, "HEARTBEAT_SECONDS": 1}
        server = Server(Path(folder), choices).start()
        try:
            with tavern.running(f"{server.base_url}/v1", server.password) as st:
                with_streaming(st, gemini, points)
                without_streaming(st, points)
                acts(st, gemini, points)
                addresses_and_forms(st, points)
                googles_own_source(st, gemini, points)
                server.restart(FAKE_STREAMING=True)
                st.base = f"{server.base_url}/v1"
                set_the_scene(gemini)
                patience(st, gemini, points)
        finally:
            print(server.output[-3000:] if points.failed else "", end="")
            server.kill()
    return points.close()


if __name__ == "__main__":
    sys.exit(main())
