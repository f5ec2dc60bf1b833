/** The errors of the Container Network Interface: a code of the specification, and the text. */

/** The codes of the specification's section "Error"; those from 100 on are the plugin's. */
export const codes = {
	incompatibleVersion: 1,
	unsupportedField: 2,
	unknownContainer: 3,
	invalidEnvironment: 4,
	ioFailure: 5,
	decodeFailure: 6,
	invalidConfig: 7,
	tryAgainLater: 11,
	notAvailable: 50,
	failed: 100,
	checkFailed: 101,
} as const;

export class CniError extends Error {
	constructor(
		readonly code: number,
		message: string,
		readonly details = "",
	) {
		super(message);
	}
}

export function invalid(message: string): never {
	throw new CniError(codes.invalidConfig, message);
}
