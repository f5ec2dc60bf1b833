/** What an event of the loop is of; the loop has a handler for each. */
export const CONNECTION = 0;
export const LISTENER = 1;
export const DATAGRAMS = 2;
export const FLOW = 3;
export const SIGNALS = 4;
export const CLOCK = 5;
export const DEADLINE = 6;
export const SANDBOX = 7;
export const PUBLISHER = 8;
export const CONTROL = 9;
export const CONTROL_CLIENT = 10;
