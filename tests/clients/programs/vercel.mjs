// The Vercel AI SDK over standard input and output, with a chat endpoint and a person who answers its forms.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createMCPClient, ElicitationRequestSchema } from "@ai-sdk/mcp";
import { Experimental_StdioMCPTransport as StdioTransport } from "@ai-sdk/mcp/mcp-stdio";
import { generateText, isStepCount } from "ai";

const { server, model, goal } = JSON.parse(process.argv[2]);
const asked = [];
const client = await createMCPClient({
  transport: new StdioTransport(server),
  capabilities: { elicitation: {} },
});
client.onElicitationRequest(ElicitationRequestSchema, (request) => {
  asked.push(request.params.message);
  return { action: "accept", content: { decision: "approve" } };
});
const tools = await client.tools();
const endpoint = createOpenAICompatible({ name: "loopback", baseURL: model });
const { text } = await generateText({
  model: endpoint("scripted"),
  tools,
  stopWhen: isStepCount(10),
  maxRetries: 0,
  prompt: goal,
});
console.log(JSON.stringify({ tools: Object.keys(tools), said: text, asked }));
await client.close();
