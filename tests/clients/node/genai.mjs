// The @google/genai package.
import { GoogleGenAI } from '@google/genai';
import { BASE_URL, CITY, EMBEDDER, MODEL, PASSWORD, collect, run, weather } from './point.mjs';

const client = new GoogleGenAI({ apiKey: PASSWORD, httpOptions: { baseUrl: BASE_URL } });
const ask = (contents) => ({ model: MODEL, contents });
const declared = { functionDeclarations: [{ name: 'weather', description: 'Tell it.', parametersJsonSchema: CITY }] };
const callable = {
  tool: async () => declared,
  callTool: async (calls) =>
    calls.map(({ id, name, args }) => ({ functionResponse: { id, name, response: weather(args) } })),
};

await run({
  generate: async () => {
    const response = await client.models.generateContent(ask('Hi'));
    const { finishReason } = response.candidates[0];
    return { text: response.text, finish: finishReason, tokens: response.usageMetadata.totalTokenCount };
  },

  stream: async () => {
    const stream = await client.models.generateContentStream(ask('Count'));
    return collect(stream, (chunk) => chunk.candidates[0].content.parts.map((part) => [part.text, part.thought ?? false]));
  },

  chat: async () => {
    const chat = client.chats.create({ model: MODEL });
    await chat.sendMessage({ message: 'One' });
    return { text: (await chat.sendMessage({ message: 'Two' })).text };
  },

  chatWithFunctions: async () => {
    const chat = client.chats.create({ model: MODEL, config: { tools: [declared] } });
    const first = await chat.sendMessage({ message: 'chatWithFunctions' });
    const results = first.functionCalls.map(({ id, name, args }) => ({
      functionResponse: { id, name, response: weather(args) },
    }));
    const last = await chat.sendMessage({ message: results });
    return { calls: first.functionCalls.map(({ name, args }) => [name, args]), text: last.text };
  },

  chatWithFunctionsStreamed: async () => {
    const chat = client.chats.create({ model: MODEL, config: { tools: [declared] } });
    const stream = await chat.sendMessageStream({ message: 'chatWithFunctionsStreamed' });
    const calls = (await collect(stream, (chunk) => chunk.functionCalls ?? [])).flat();
    const results = calls.map(({ id, name, args }) => ({ functionResponse: { id, name, response: weather(args) } }));
    const last = await chat.sendMessageStream({ message: results });
    const text = (await collect(last, (chunk) => chunk.text ?? '')).join('');
    return { calls: calls.map(({ name, args }) => [name, args]), text };
  },

  automatic: async () => {
    const response = await client.models.generateContent({ ...ask('automatic'), config: { tools: [callable] } });
    return { text: response.text };
  },

  count: async () => (await client.models.countTokens(ask('x'.repeat(400)))).totalTokens,

  embed: async () => {
    const config = { outputDimensionality: 32 };
    const { embeddings } = await client.models.embedContent({ model: EMBEDDER, contents: ['one', 'two'], config });
    return embeddings.map(({ values }) => values);
  },

  models: async () => collect(await client.models.list({ config: { pageSize: 5 } }), (model) => model.name),

  refusal: async () => {
    const error = await client.models.generateContent({ ...ask('Hi'), model: 'gemini-9' }).catch((caught) => caught);
    return { kind: error.name, status: error.status, message: error.message };
  },

  refusedStream: async () => {
    const error = await client.models.generateContentStream({ ...ask('Hi'), model: 'gemini-9' }).catch((caught) => caught);
    return { kind: error.name, status: error.status, message: error.message };
  },

  brokenStream: async () => {
    let text = '';
    try {
      for await (const chunk of await client.models.generateContentStream(ask('Count'))) text += chunk.text ?? '';
    } catch (error) {
      return { text, kind: error.name, message: error.message };
    }
    return { text };
  },
});
