/** What Docker leaves to a container's root (moby, oci/caps/defaults.go). */
export const USUAL_CAPABILITIES =
	"CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE".split(" ");
