/** Prints the links and addresses of the network namespace that it runs in, as JSON, by the package netlink. */
import netlink from "netlink";

const socket = netlink.createRtNetlink();
const links = (await socket.getLinks()).map(({ data, attrs }) => ({ name: attrs.ifname, type: data.type, isUp: data.flags.up === true }));
const addresses = (await socket.getAddresses()).map(({ data, attrs }) => `${[...attrs.address].join(".")}/${data.prefixlen}`);
console.log(JSON.stringify({ links, addresses }));
process.exit(0);
