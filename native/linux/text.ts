/** Text that the kernel gives and takes: bytes that need be no UTF-8, as in a file's name, and what stands for them here. */
export { decode, encode } from "#host";
