/** The options that the verbs of layers and images share. */
import { notA, options } from "../../common/command-line/options.ts";
import type { Layout } from "./store.ts";

function layout(text: string, option: string): Layout {
	return text === "overlay2" || text === "aufs" ? text : notA(option, text, "overlay2 or aufs");
}

export const layoutOption = options([
	{ long: "layout", value: "NAME", parse: layout, help: "how a new layer is kept on disk: overlay2 (the default) or aufs", rare: true },
]);

export const jsonOption = options([{ long: "json", help: "print JSON" }]);
