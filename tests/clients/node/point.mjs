// Runs one of a client's points, named on the command line, and prints what it returned as JSON.

/** Where hajimi is, and the password for it. */
export const { BASE_URL, PASSWORD } = process.env;
export const MODEL = 'gemini-3-flash-preview';
export const EMBEDDER = 'gemini-embedding-001';
export const PAINTER = 'gemini-2.5-flash-image';

/** The function that the models of the tests call, and its parameters as JSON Schema. */
export const weather = ({ city }) => ({ sky: `Rain in ${city}.` });
export const CITY = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };

export async function collect(stream, pick) {
  const found = [];
  for await (const each of stream) found.push(pick(each));
  return found;
}

export async function run(points) {
  const shown = await points[process.argv[2]]();
  console.log(JSON.stringify(shown ?? null));
}
