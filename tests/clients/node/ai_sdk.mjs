// The ai package with @ai-sdk/openai-compatible.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { Output, embedMany, generateImage, generateText, isStepCount, streamText, tool } from 'ai';
import { z } from 'zod';
import { BASE_URL, EMBEDDER, MODEL, PAINTER, PASSWORD, collect, run, weather } from './point.mjs';

const hajimi = createOpenAICompatible({
  name: 'hajimi',
  baseURL: `${BASE_URL}/v1`,
  apiKey: PASSWORD,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const usual = { model: hajimi(MODEL), maxRetries: 0 };
const tools = {
  weather: tool({ description: 'Tell it.', inputSchema: z.object({ city: z.string() }), execute: weather }),
};
const Sum = z.object({ total: z.number().int() });

await run({
  chat: async () => {
    const { text, reasoningText, finishReason, usage } = await generateText({ ...usual, prompt: 'Hi' });
    return { text, thoughts: reasoningText, finish: finishReason, tokens: usage.totalTokens };
  },

  stream: async () => {
    const result = streamText({ ...usual, prompt: 'Count' });
    const texts = await collect(result.textStream, (text) => text);
    return { texts, thoughts: await result.reasoningText, tokens: (await result.usage).totalTokens };
  },

  tools: async () => {
    const result = await generateText({ ...usual, prompt: 'tools', tools, stopWhen: isStepCount(5) });
    const calls = result.steps.flatMap((step) => step.toolCalls.map(({ toolName, input }) => [toolName, input]));
    return { calls, text: result.text };
  },

  toolsStreamed: async () => {
    const result = streamText({ ...usual, prompt: 'toolsStreamed', tools, stopWhen: isStepCount(5) });
    const text = (await collect(result.textStream, (each) => each)).join('');
    const steps = await result.steps;
    const calls = steps.flatMap((step) => step.toolCalls.map(({ toolName, input }) => [toolName, input]));
    return { calls, text };
  },

  object: async () => {
    const { output } = await generateText({ ...usual, prompt: '6 times 7?', output: Output.object({ schema: Sum }) });
    return output;
  },

  objectStreamed: async () => {
    const result = streamText({ ...usual, prompt: '6 times 7?', output: Output.object({ schema: Sum }) });
    await collect(result.partialOutputStream, (part) => part);
    return result.output;
  },

  embed: async () => {
    const { embeddings } = await embedMany({ model: hajimi.embeddingModel(EMBEDDER), values: ['one', 'two'] });
    return embeddings;
  },

  image: async () => (await generateImage({ model: hajimi.imageModel(PAINTER), prompt: 'A cat' })).image.base64,

  refusal: async () => {
    const error = await generateText({ ...usual, model: hajimi('gpt-4o'), prompt: 'Hi' }).catch((caught) => caught);
    return { kind: error.name, status: error.statusCode, message: error.message, retryable: error.isRetryable };
  },

  brokenStream: async () => {
    const seen = [];
    const result = streamText({ ...usual, prompt: 'Count', onError: ({ error }) => seen.push(String(error.message ?? error)) });
    const text = (await collect(result.textStream, (each) => each)).join('');
    return { text, message: seen.join(' ') };
  },
});
