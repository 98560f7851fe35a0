"""OpenAI's speech from Gemini's TTS models; transcriptions and translations from any model that hears."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final

from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpResponse
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.translation import gettext_noop as _

from proxy import errors
from proxy.api import ApiRequest
from proxy.api_answers import answer_json
from proxy.errors import Quoted
from proxy.large import aside
from proxy.translation import speech as speaking
from proxy.translation import transcriptions as hearing
from proxy.translation.transcriptions import Upload
from proxy.translation.whole import WholeTranslator
from proxy.views.entrance import document_of, member_of, model_of, runtime_of
from proxy.views.whole import Sentences, answer_to, ask_for, understood

SPEECH_SENTENCES: Final[Sentences] = {
    errors.EmptyAnswer: _("Gemini made no sound, %(attempts)s times in a row."),
    errors.AnswerTruncated: _("The sound would be longer than the model can make; send less text at once."),
}
TRANSCRIPT_SENTENCES: Final[Sentences] = {
    errors.AnswerTruncated: _("The text is longer than the model can write; send a shorter recording."),
}
NOT_A_FORM: Final = _("The request body must be a form (multipart/form-data) with the fields file and model.")
BROKEN_FORM: Final = _("The request body is not a valid form: %(reason)s")


async def speech(request: ApiRequest) -> HttpResponse:
    """POST /v1/audio/speech: a text, spoken."""
    member = member_of(request)
    wish: speaking.Wish = understood(speaking.parse, await aside(request, document_of, request))
    runtime = runtime_of(request, member)
    resolved = model_of(wish.model, runtime)
    asked = understood(speaking.body, wish, resolved)
    ask = ask_for(request, member, runtime, resolved, [asked], lambda: WholeTranslator("audio"))
    deltas, _usage = await answer_to(request, ask, SPEECH_SENTENCES)
    data, mime = speaking.answer(deltas, bare=wish.bare)
    return HttpResponse(data, content_type=mime)


async def transcriptions(request: ApiRequest) -> HttpResponse:
    """POST /v1/audio/transcriptions: what is said in a recording."""
    return await _heard(request, into_english=False)


async def translations(request: ApiRequest) -> HttpResponse:
    """POST /v1/audio/translations: what is said in a recording, in English."""
    return await _heard(request, into_english=True)


async def _heard(request: ApiRequest, *, into_english: bool) -> HttpResponse:
    member = member_of(request)
    form = await aside(request, _form, request)
    wish = understood(hearing.parse, *form, into_english=into_english)
    runtime = runtime_of(request, member)
    resolved = model_of(wish.model, runtime)
    asked = await aside(request, understood, hearing.body, wish, resolved)
    ask = ask_for(request, member, runtime, resolved, [asked], lambda: WholeTranslator("text"))
    deltas, usage = await answer_to(request, ask, TRANSCRIPT_SENTENCES)
    text = hearing.text_of(deltas)
    if wish.as_text:
        return HttpResponse(text, content_type="text/plain; charset=utf-8")
    return answer_json(hearing.answer(text, usage))


def _form(request: ApiRequest) -> tuple[Mapping[str, str], Upload | None]:
    """Return the fields of a form and its file, all in memory: the body is there already, and its size is bounded."""
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        raise errors.BadRequest(NOT_A_FORM)
    told = {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(request.body))}
    files = _Files()
    try:
        fields, _files = MultiPartParser(told, BytesIO(request.body), [files], "utf-8").parse()
    except (MultiPartParserError, SuspiciousOperation, LookupError, ValueError) as error:
        # The last two: Django believes every name of a character set.
        raise errors.BadRequest(BROKEN_FORM, {"reason": Quoted(str(error)[:200])}) from None
    return {name: str(value) for name, value in fields.items()}, files.upload


class _Files(FileUploadHandler):
    """Keeps the file of the field ``file``."""

    def __init__(self) -> None:
        super().__init__()
        self.upload: Upload | None = None
        self._pieces: list[bytes] = []

    def new_file(self, *arguments: Any, **options: Any) -> None:
        super().new_file(*arguments, **options)
        self._pieces = []

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._pieces.append(raw_data)

    def file_complete(self, file_size: int) -> None:
        if self.field_name == "file":
            self.upload = Upload(self.file_name or "", self.content_type or "", b"".join(self._pieces))
