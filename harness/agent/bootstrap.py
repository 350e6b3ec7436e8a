"""The few lines that a board gets on the command line: they fetch the agent over the same channel and become it.

The dialogue: board `FGT-READY <nonce>`, controller `<sha256> <size> <root>`, board `HAVE` or `NEED`; after `NEED` the
controller sends the zipapp's bytes and the board answers `HAVE` or `BAD <why>`. After `HAVE` frames follow.
Whatever a login shell prints before `FGT-READY` is noise that the controller skips. Knows nothing of ssh or quoting.
"""

from __future__ import annotations

READY = "FGT-READY"

SOURCE = """\
import hashlib,os,sys
def say(t): os.write(1,(t+"\\n").encode())
def bad(t):
    say("BAD "+" ".join(t.split())); sys.exit(65)
def line():
    b=b""
    while b[-1:]!=b"\\n":
        c=os.read(0,1)
        if not c or len(b)>4096: sys.exit(65)
        b+=c
    return b.decode().rstrip("\\n")
def same(p):
    try:
        with open(p,"rb") as f: return hashlib.sha256(f.read()).hexdigest()==sha
    except OSError: return False
say("FGT-READY "+sys.argv[1])
sha,size,root=line().split(" ",2)
if len(sha)!=64 or set(sha)-set("0123456789abcdef"): bad("no digest")
root=os.path.abspath(os.path.expanduser(root)); size=int(size)
d=os.path.join(root,"agent"); pyz=os.path.join(d,sha+".pyz"); part="%s.%d.part"%(pyz,os.getpid())
try:
    os.makedirs(root,0o700,exist_ok=True); os.makedirs(d,0o700,exist_ok=True)
    if not same(pyz):
        say("NEED")
        with open(part,"wb") as f:
            while size>0:
                c=os.read(0,min(size,65536))
                if not c: sys.exit(65)
                f.write(c); size-=len(c)
            f.flush(); os.fsync(f.fileno())
        if not same(part):
            os.unlink(part); bad("the agent arrived damaged")
        os.rename(part,pyz); n=os.open(d,0); os.fsync(n); os.close(n)
    say("HAVE")
except OSError as e: bad(str(e))
os.execv(sys.executable,[sys.executable,"-I",pyz,"--root",root])
"""


def command(python: str, nonce: str) -> list[str]:
    """Return the argv that starts the bootstrap on a board; `nonce` comes back in its first line."""
    return [python, "-c", SOURCE, nonce]
