// The openai package.
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { BASE_URL, CITY, EMBEDDER, MODEL, PAINTER, PASSWORD, collect, run, weather } from './point.mjs';

const client = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: PASSWORD, maxRetries: 0 });
const { completions } = client.chat;
const ask = (content) => ({ model: MODEL, messages: [{ role: 'user', content }] });
const tools = [{ type: 'function', function: { name: 'weather', description: 'Tell it.', parameters: CITY } }];
const Sum = z.object({ total: z.number().int() });

function answered(message) {
  const results = message.tool_calls.map((call) => ({
    role: 'tool',
    tool_call_id: call.id,
    content: JSON.stringify(weather(JSON.parse(call.function.arguments))),
  }));
  return [message, ...results];
}

await run({
  chat: async () => {
    const { choices, usage } = await completions.create(ask('Hi'));
    return { text: choices[0].message.content, finish: choices[0].finish_reason, tokens: usage.total_tokens };
  },

  stream: async () => {
    const stream = await completions.create({ ...ask('Count'), stream: true });
    return collect(stream, (chunk) => chunk.choices[0].delta.content ?? '');
  },

  tools: async () => {
    const asked = ask('tools');
    const { choices } = await completions.create({ ...asked, tools });
    asked.messages.push(...answered(choices[0].message));
    const last = await completions.create({ ...asked, tools });
    return { calls: choices[0].message.tool_calls, finish: choices[0].finish_reason, text: last.choices[0].message.content };
  },

  toolsStreamed: async () => {
    const asked = ask('toolsStreamed');
    const { choices } = await completions.stream({ ...asked, tools }).finalChatCompletion();
    asked.messages.push(...answered(choices[0].message));
    const last = await completions.stream({ ...asked, tools }).finalChatCompletion();
    return { calls: choices[0].message.tool_calls, finish: choices[0].finish_reason, text: last.choices[0].message.content };
  },

  runTools: async () => {
    const called = { ...tools[0].function, parse: JSON.parse, function: async (args) => JSON.stringify(weather(args)) };
    const runner = completions.runTools({ ...ask('runTools'), tools: [{ type: 'function', function: called }] });
    return { text: await runner.finalContent() };
  },

  runToolsStreamed: async () => {
    const called = { ...tools[0].function, parse: JSON.parse, function: async (args) => JSON.stringify(weather(args)) };
    const asked = { ...ask('runToolsStreamed'), stream: true };
    const runner = completions.runTools({ ...asked, tools: [{ type: 'function', function: called }] });
    return { text: await runner.finalContent() };
  },

  parse: async () => {
    const { choices } = await completions.parse({ ...ask('6 times 7?'), response_format: zodResponseFormat(Sum, 'sum') });
    return choices[0].message.parsed;
  },

  parseCall: async () => {
    const { choices } = await completions.parse({ ...ask('6 times 7?'), tools: [zodFunction({ name: 'sum', parameters: Sum })] });
    return choices[0].message.tool_calls[0].function.parsed_arguments;
  },

  embeddings: async () => {
    const { data } = await client.embeddings.create({ model: EMBEDDER, input: ['one', 'two'], dimensions: 32 });
    return data.map((row) => row.embedding);
  },

  images: async () => {
    const { data } = await client.images.generate({ model: PAINTER, prompt: 'A cat' });
    return data[0].b64_json;
  },

  models: async () => collect(client.models.list(), (model) => model.id),

  refusal: async () => {
    const error = await completions.create({ ...ask('Hi'), model: 'gpt-4o' }).catch((caught) => caught);
    const { status, code, param, message } = error;
    return { kind: error.constructor.name, status, code, param, message };
  },

  brokenStream: async () => {
    let text = '';
    try {
      for await (const chunk of await completions.create({ ...ask('Count'), stream: true })) {
        text += chunk.choices[0].delta.content ?? '';
      }
    } catch (error) {
      return { text, kind: error.constructor.name, message: error.message };
    }
    return { text };
  },
});
