// Unpacks a bundle and prints how its server is started, as a host does it for a person who only chose a folder.
import { readFileSync } from "node:fs";

const [module, bundle, folder, granted] = process.argv.slice(2);
const { getMcpConfigForManifest, unpackExtension } = await import(module);
if (!(await unpackExtension({ mcpbPath: bundle, outputDir: folder, silent: true }))) process.exit(1);
const started = await getMcpConfigForManifest({
  manifest: JSON.parse(readFileSync(`${folder}/manifest.json`, "utf8")),
  extensionPath: folder,
  systemDirs: {},
  userConfig: { folder: granted },
  pathSeparator: "/",
});
console.log(JSON.stringify(started));
