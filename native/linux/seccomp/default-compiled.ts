/** What stands for the build's table of compiled default filters where there is none: in Node. See native/seccomp-default.mjs. */
export function compiledDefault(_capabilities: string): readonly number[] | undefined {
	return undefined;
}
