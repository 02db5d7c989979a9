"""What the operating system takes away from workers before they see any guest code.

The runtimes give a guest no files, processes or sockets. This is a second wall, for bugs in Lua,
lupa or wasmtime. The zygote calls `confine` once, after all imports: from then on neither the
zygote nor its forks can open anything.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import struct
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)

SOCKETS = 2  # descriptors that a worker is given


def confine(control: int) -> None:
    """Take away files, network, programs, privileges and core dumps. There is no way back.

    The limits hold on every system. The rest is Linux only, and each part is left out where the
    kernel does not have it.

    Args:
        control: the last descriptor to keep.
    """
    os.chdir("/")
    # Close what the shell itself had inherited. Then allow descriptors for a worker's sockets only,
    # so that nothing else can be opened.
    os.closerange(control + 1, 1 << 16)
    last = control + SOCKETS + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (last, last))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        for option, value in (
            (_PR_SET_NO_NEW_PRIVS, 1),
            (_PR_SET_CHILD_SUBREAPER, 1),  # the zygote adopts forks whose parent has ended
            # Other processes of the user, workers too, may not trace it or read its memory:
            # ptrace(2), "Ptrace access mode checking".
            (_PR_SET_DUMPABLE, 0),
        ):
            _libc.prctl(option, value, 0, 0, 0)
        filter_system_calls(_libc)


def die_with_parent(bound: bool) -> None:
    """Set whether the kernel kills this process when its parent ends. Linux only; not inherited.

    So nothing computes on after the shell was killed: the zygote ends when its socket closes, its
    workers end with the zygote, and their forks with them.
    """
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL if bound else 0, 0, 0, 0)


# System calls -------------------------------------------------------------------------------------

# Refused with EPERM, not with a kill, so that a library that tries one can go on without it. The
# numbers are those of x86_64 and of aarch64 (None: it has none). From 424 on both are the same.
# Sources: the kernel's syscall_64.tbl and asm-generic/unistd.h.
_Numbers = dict[str, tuple[int | None, int | None]]

_FILES: _Numbers = {
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "creat": (85, None),
    "open_by_handle_at": (304, 265),
    "memfd_create": (319, 279),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "link": (86, None),
    "linkat": (265, 37),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "umount2": (166, 39),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
}
_TALK: _Numbers = {
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
_PROCESSES: _Numbers = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "setrlimit": (160, 164),
    "setsid": (112, 157),  # a fork stays in the group that it is killed with
    "unshare": (272, 97),
    "setns": (308, 268),
}
_SYSTEM: _Numbers = {
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setgroups": (116, 159),
    "capset": (126, 91),
    "personality": (135, 92),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
}
REFUSED: _Numbers = {**_FILES, **_TALK, **_PROCESSES, **_SYSTEM}

# Refused except for one use: a worker moves the floor under its own memory (`floor`).
PRLIMIT64 = (302, 261)

_X86_64, _AARCH64 = 0, 1
_AUDIT_ARCH = (0xC000003E, 0xC00000B7)
_SECCOMP = (317, 277)  # number of seccomp(2) itself
_SET_MODE_FILTER = 1
# SECCOMP_FILTER_FLAG_SPEC_ALLOW. Without it, kernels before 5.16 turn on mitigations that slow the
# whole process down, against a speculation that Lua cannot exploit.
_SPEC_ALLOW = 4
# Bit 30 marks calls of x32, the other numbering of x86_64 kernels. All of them are refused: the
# same calls have other numbers there, and would pass (seccomp(2), __X32_SYSCALL_BIT).
_X32 = 0x40000000

# Classic BPF over struct seccomp_data: the call's number at 0, the architecture at 4, the low words
# of the first two arguments at 16 and 24 (both machines are little-endian, both arguments ints).
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def filter_program(machine: int) -> bytes:
    """The filter for a machine (0: x86_64, 1: aarch64) as `struct sock_filter[]`.

    It checks the architecture first: a number means another call in another architecture.
    """
    numbers = [pair[machine] for pair in REFUSED.values() if pair[machine] is not None]
    checks: list[bytes] = []
    # A jump reaches 255 instructions, so each number has a refusal of its own next to it.
    for number in numbers:
        assert number is not None
        checks += [_instruction(_IF_EQUAL, number, 0, 1), _instruction(_RETURN, _REFUSE)]
    return b"".join(
        [
            _instruction(_LOAD, 4),
            _instruction(_IF_EQUAL, _AUDIT_ARCH[machine], 1, 0),
            _instruction(_RETURN, _REFUSE),
            _instruction(_LOAD, 0),
            _instruction(_IF_AT_LEAST, _X32, 0, 1),
            _instruction(_RETURN, _REFUSE),
            *checks,
            _instruction(_IF_EQUAL, PRLIMIT64[machine], 1, 0),
            _instruction(_RETURN, _ALLOW),
            _instruction(_LOAD, 16),
            _instruction(_IF_EQUAL, 0, 1, 0),  # pid 0: this process
            _instruction(_RETURN, _REFUSE),
            _instruction(_LOAD, 24),
            _instruction(_IF_EQUAL, resource.RLIMIT_DATA, 1, 0),
            _instruction(_RETURN, _REFUSE),
            _instruction(_RETURN, _ALLOW),
        ]
    )


def filter_system_calls(libc: ctypes.CDLL) -> bool:
    """Refuse `REFUSED` from now on, in this process and its children.

    Returns False where there is no filter for the machine, or the kernel does not take it.
    """
    machine = {"x86_64": _X86_64, "aarch64": _AARCH64}.get(os.uname().machine)
    if machine is None or sys.maxsize < 1 << 32:
        return False
    code = ctypes.create_string_buffer(filter_program(machine))
    # struct sock_fprog: the number of instructions, 8 bytes each, and where they are.
    packed = struct.pack("@HP", (len(code) - 1) // 8, ctypes.addressof(code))
    installed: int = libc.syscall(
        ctypes.c_long(_SECCOMP[machine]),
        ctypes.c_ulong(_SET_MODE_FILTER),
        ctypes.c_ulong(_SPEC_ALLOW),
        ctypes.c_char_p(packed),
    )
    return installed == 0
