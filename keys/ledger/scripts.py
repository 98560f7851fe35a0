"""What Redis does for the ledger in one step each: Lua. Times are seconds since the epoch, given by the caller.

A window is a hash of ``used`` and ``ends``. It expires an hour after its end, counted from the caller's clock: requests
that began in it may still give back. The first key of TAKE and RESTORE is the mark that Redis has been told of the
windows in the database; without it nothing is granted.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from typing import Final


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """A Lua text, and the name that Redis keeps it under."""

    text: str
    sha: str


def script(*pieces: str) -> Script:
    """Return the script of these pieces."""
    text = "\n".join(pieces)
    return Script(text, sha1(text.encode()).hexdigest())  # noqa: S324 - Redis's own way of naming scripts


# standing: how much is used of a window that ends at ``fresh_end`` if it begins now, and when it ends (nil: not begun).
# An ended window is still counted in for requests of its own last second: their window says the same end.
_STANDING: Final = """
local function standing(key, now, fresh_end)
  local kept = redis.call('HMGET', key, 'used', 'ends')
  if not kept[1] then return 0, nil end
  local ends = tonumber(kept[2])
  if ends <= now and ends ~= tonumber(fresh_end) then return 0, nil end
  return tonumber(kept[1]), kept[2]
end
local function put(key, used, ends, now)
  redis.call('HSET', key, 'used', string.format('%.0f', used), 'ends', ends)
  redis.call('PEXPIRE', key, math.max(math.ceil((tonumber(ends) - now + 3600) * 1000), 1000))
end
"""

# KEYS: the mark, windows. ARGV: now, then for each window limit, amount and the end it has if it begins now.
# Returns -1 without the mark, else 0 or the number of the first window without room; then used and end of each.
TAKE: Final = script(
    _STANDING,
    """
if redis.call('EXISTS', KEYS[1]) == 0 then return {-1} end
local now, refused, wanted, before, answer = tonumber(ARGV[1]), 0, {}, {}, {0}
for i = 2, #KEYS do
  local limit, amount = tonumber(ARGV[3 * i - 4]), tonumber(ARGV[3 * i - 3])
  local used, ends = standing(KEYS[i], now, ARGV[3 * i - 2])
  local so_far = used + (wanted[KEYS[i]] or 0)
  local has_room = so_far + amount <= limit
  if amount == 0 then has_room = so_far < limit end
  if not has_room and refused == 0 then refused = i - 1 end
  wanted[KEYS[i]] = (wanted[KEYS[i]] or 0) + amount
  before[i] = {used, ends}
end
answer[1] = refused
for i = 2, #KEYS do
  local used, ends = before[i][1], before[i][2]
  if refused == 0 and wanted[KEYS[i]] > 0 then
    used = used + wanted[KEYS[i]]
    if ends then redis.call('HSET', KEYS[i], 'used', string.format('%.0f', used))
    else
      ends = ARGV[3 * i - 2]
      put(KEYS[i], used, ends, now)
    end
  end
  answer[2 * i - 2], answer[2 * i - 1] = used, ends or ''
end
return answer
""",
)

# KEYS: windows. ARGV: now, a channel, then for each window limit, amount and end.
# Where a full window gets room again, the channel hears of it.
GIVE_BACK: Final = script(
    _STANDING,
    """
local now, is_room = tonumber(ARGV[1]), false
for i = 1, #KEYS do
  local used, ends = standing(KEYS[i], now, ARGV[3 * i + 2])
  if ends then
    is_room = is_room or used >= tonumber(ARGV[3 * i])
    redis.call('HSET', KEYS[i], 'used', string.format('%.0f', math.max(0, used - tonumber(ARGV[3 * i + 1]))))
  end
end
if is_room then redis.call('PUBLISH', ARGV[2], '["","room"]') end
return 0
""",
)

# KEYS: a window. ARGV: now, amount, the end it has if it begins now.
ADD: Final = script(
    _STANDING,
    """
local now = tonumber(ARGV[1])
local used, ends = standing(KEYS[1], now, ARGV[3])
put(KEYS[1], math.max(0, used + tonumber(ARGV[2])), ends or ARGV[3], now)
return 0
""",
)

# KEYS: a window. ARGV: now, the end it has if it begins now. Returns used and end ('': not begun).
STANDING: Final = script(
    _STANDING,
    """
local used, ends = standing(KEYS[1], tonumber(ARGV[1]), ARGV[2])
return {used, ends or ''}
""",
)

# KEYS: the mark, windows. ARGV: now, whether these are the last ones, then for each window used and end.
# What Redis knows already is not lowered: it may be ahead of the database.
RESTORE: Final = script(
    _STANDING,
    """
local now = tonumber(ARGV[1])
for i = 2, #KEYS do
  local used, ends = standing(KEYS[i], now, ARGV[2 * i])
  put(KEYS[i], math.max(used, tonumber(ARGV[2 * i - 1])), ends or ARGV[2 * i], now)
end
if ARGV[2] == '1' then redis.call('SET', KEYS[1], '1') end
return 0
""",
)

# KEYS: a window. ARGV: now, the least that is used of it, the end it has if it begins now.
RAISE: Final = script(
    _STANDING,
    """
local used, ends = standing(KEYS[1], tonumber(ARGV[1]), ARGV[3])
put(KEYS[1], math.max(used, tonumber(ARGV[2])), ends or ARGV[3], tonumber(ARGV[1]))
return 0
""",
)

# KEYS: a sorted set of holders by the end of their slot. ARGV: now, limit, holder, the slot's end.
ENTER: Final = script(
    """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if not redis.call('ZSCORE', KEYS[1], ARGV[3]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[3])
redis.call('EXPIRE', KEYS[1], 600)
return 1
"""
)

# KEYS: the set. ARGV: holder.
LEAVE: Final = script("return redis.call('ZREM', KEYS[1], ARGV[1])")

# KEYS: the set. ARGV: now.
INSIDE: Final = script("return redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[1], '+inf')")

# KEYS: for each slot its set. ARGV: the new end, then the holders.
RENEW: Final = script(
    """
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[1], ARGV[i + 1])
  redis.call('EXPIRE', KEYS[i], 600)
end
return 0
"""
)

ALL: Final = (TAKE, GIVE_BACK, ADD, STANDING, RAISE, RESTORE, ENTER, LEAVE, INSIDE, RENEW)
