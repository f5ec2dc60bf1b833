/** node --import: lets Node load TypeScript, by esbuild. */
import { register } from "node:module";

register("./typescript-hooks.mjs", import.meta.url);
