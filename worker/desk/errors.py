"""What cannot be done, in words for the person who wanted it."""

import errno
from http import HTTPStatus


class Wrong(Exception):
    """A refusal: `words` say what is and what to do, `status` is HTTP's."""

    def __init__(self, words: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(words)
        self.words = words
        self.status = int(status)


FULL = (
    "The disk is full, or your disk limit is reached: nothing more can be written. What was there is untouched. "
    "Delete something for ever, or ask for more on My quota."
)
_OF_SYSTEM = {
    errno.ENOENT: (HTTPStatus.NOT_FOUND, "It is not there any more. Somebody, or a program of yours, has moved or deleted it."),
    errno.ENOTDIR: (HTTPStatus.NOT_FOUND, "There is no such folder. Links are not followed here."),
    errno.ELOOP: (HTTPStatus.NOT_FOUND, "This is a link, and links are not followed here. Open it in a lab."),
    errno.EACCES: (HTTPStatus.FORBIDDEN, "Its permissions do not let you do that. Change them in a lab, with chmod."),
    errno.EPERM: (HTTPStatus.FORBIDDEN, "Its permissions do not let you do that. Change them in a lab, with chmod."),
    errno.EEXIST: (HTTPStatus.CONFLICT, "There is something of that name already. Choose another name."),
    errno.ENOTEMPTY: (HTTPStatus.CONFLICT, "There is something of that name already. Choose another name."),
    errno.ENAMETOOLONG: (HTTPStatus.BAD_REQUEST, "This name is too long: 255 bytes is the most."),
    errno.EINVAL: (HTTPStatus.BAD_REQUEST, "A folder cannot be moved into itself."),
    errno.EXDEV: (HTTPStatus.BAD_REQUEST, "It cannot be moved from one disk to another here. Move it in a lab, with mv."),
    errno.ENOSPC: (HTTPStatus.INSUFFICIENT_STORAGE, FULL),
    errno.EDQUOT: (HTTPStatus.INSUFFICIENT_STORAGE, FULL),
    errno.EROFS: (HTTPStatus.FORBIDDEN, "This place can only be read."),
    errno.EMFILE: (HTTPStatus.BAD_REQUEST, "These folders are nested too deeply. Do it in a lab, in a terminal."),
}


def wrong_of(error: OSError) -> Wrong:
    """What the system refused, in words."""
    status, words = _OF_SYSTEM.get(error.errno or 0, (HTTPStatus.INTERNAL_SERVER_ERROR, "The disk did not do it. Try again in a minute."))
    return Wrong(words, status)
