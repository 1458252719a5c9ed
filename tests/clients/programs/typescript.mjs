// The TypeScript SDK's client, with a person who answers its forms.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const { server, goal, steps } = JSON.parse(process.argv[2]);
const asked = [];
const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, (request) => {
  asked.push(request.params.message);
  return { action: "accept", content: { decision: "approve" } };
});
await client.connect(new StdioClientTransport(server));
const call = async (name, args) => (await client.callTool({ name, arguments: args })).structuredContent;
const { tools } = await client.listTools();
const { plan_id } = await call("create_plan", { goal, steps });
await call("execute_plan", { plan_id });
const said = JSON.stringify(await call("get_plan", { plan_id }));
console.log(JSON.stringify({ tools: tools.map((tool) => tool.name), said, asked }));
await client.close();
