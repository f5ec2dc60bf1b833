/**
 * What cac 7 calls and the engine (ES2020, no web interfaces) lacks, no more than it uses of it: Array.prototype.at,
 * String.prototype.replaceAll, EventTarget, CustomEvent, console.info.
 */

type Listener = (event: { type: string }) => void;

function define(target: object, name: string, value: unknown) {
	if (!(name in target)) Object.defineProperty(target, name, { value, writable: true, configurable: true });
}

define(Array.prototype, "at", function at(this: unknown[], index: number) {
	return this[index < 0 ? this.length + index : index];
});

define(String.prototype, "replaceAll", function replaceAll(this: string, search: string, replacement: string) {
	return this.split(search).join(replacement);
});

define(
	globalThis,
	"EventTarget",
	class {
		listeners: [string, Listener][] = [];
		addEventListener(type: string, listener: Listener) {
			this.listeners.push([type, listener]);
		}
		dispatchEvent(event: { type: string }) {
			for (const [type, listener] of this.listeners) if (type === event.type) listener(event);
			return true;
		}
	},
);

define(
	globalThis,
	"CustomEvent",
	class {
		detail: unknown;
		constructor(
			readonly type: string,
			init?: { detail?: unknown },
		) {
			this.detail = init?.detail;
		}
	},
);

define(globalThis, "console", { info() {} });
