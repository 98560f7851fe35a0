"""What Redis does for the ledger in one step each: Lua. Times are seconds since the epoch, given by the caller.

A window is a hash of ``used`` and ``ends``. It expires an hour after its end, counted from the caller's clock: requests
that began in it may still give back. The first key of TAKE and RESTORE is the mark that Redis has been told of the
windows in the database; without it nothing is granted.

A process holds what it has taken of days until that is spent or given back: in a hash of its own, window's key to
amount, with an end in the sorted set of processes. So what a process took that then died can be given back for it, and
what Redis forgot of the living can be told again.
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

# KEYS: the mark, what the process holds, the processes, windows. ARGV: now, the process, the end of its hold, 1 when it
# holds something as far as it knows; then for each window limit, amount, the end it has if it begins now, 1 for a day.
# Returns -1 without the mark, -2 when what the process holds is not known here, else 0 or the number of the first
# window without room; then used and end of each.
TAKE: Final = script(
    _STANDING,
    """
if redis.call('EXISTS', KEYS[1]) == 0 then return {-1} end
local holds = redis.call('EXISTS', KEYS[2])
if ARGV[4] == '1' and holds == 0 then return {-2} end
local now, refused, wanted, before, answer = tonumber(ARGV[1]), 0, {}, {}, {0}
for i = 4, #KEYS do
  local at = 4 * (i - 3)
  local limit, amount = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local used, ends = standing(KEYS[i], now, ARGV[at + 3])
  local so_far = used + (wanted[KEYS[i]] or 0)
  local has_room = so_far + amount <= limit
  if amount == 0 then has_room = so_far < limit end
  if not has_room and refused == 0 then refused = i - 3 end
  wanted[KEYS[i]] = (wanted[KEYS[i]] or 0) + amount
  before[i] = {used, ends}
end
answer[1] = refused
for i = 4, #KEYS do
  local at = 4 * (i - 3)
  local used, ends = before[i][1], before[i][2]
  if refused == 0 and wanted[KEYS[i]] > 0 then
    used = used + wanted[KEYS[i]]
    if ends then redis.call('HSET', KEYS[i], 'used', string.format('%.0f', used))
    else
      ends = ARGV[at + 3]
      put(KEYS[i], used, ends, now)
    end
    if ARGV[at + 4] == '1' and tonumber(ARGV[at + 2]) > 0 then
      redis.call('HINCRBY', KEYS[2], KEYS[i], ARGV[at + 2])
      if holds == 0 then
        redis.call('ZADD', KEYS[3], ARGV[3], ARGV[2])
        holds = 1
      end
    end
  end
  answer[2 * (i - 3)], answer[2 * (i - 3) + 1] = used, ends or ''
end
return answer
""",
)

# let_go: how much of ``amount`` the process held of a window; it holds so much less from now on.
_LET_GO: Final = """
local function let_go(held, key, amount)
  local had = tonumber(redis.call('HGET', held, key) or 0)
  if had > amount then redis.call('HINCRBY', held, key, -amount)
  else redis.call('HDEL', held, key) end
  return math.min(had, amount)
end
"""

# KEYS: what the process holds, windows. ARGV: now, a channel, then for each window limit, amount and end.
# Where a full window gets room again, the channel hears of it. What is not held any more was given back already.
GIVE_BACK: Final = script(
    _STANDING,
    _LET_GO,
    """
local now, is_room = tonumber(ARGV[1]), false
for i = 2, #KEYS do
  local at = 3 * (i - 1)
  local back = let_go(KEYS[1], KEYS[i], tonumber(ARGV[at + 1]))
  local used, ends = standing(KEYS[i], now, ARGV[at + 2])
  if ends and back > 0 then
    is_room = is_room or used >= tonumber(ARGV[at])
    redis.call('HSET', KEYS[i], 'used', string.format('%.0f', math.max(0, used - back)))
  end
end
if is_room then redis.call('PUBLISH', ARGV[2], '["","room"]') end
return 0
""",
)

# KEYS: what the process holds, windows. ARGV: now, 1 when the database may not have been asked since; then for each
# window amount and end. What is not held any more was forgotten or given back meanwhile: it is counted again.
SPEND: Final = script(
    _STANDING,
    _LET_GO,
    """
local now = tonumber(ARGV[1])
for i = 2, #KEYS do
  local amount, ends = tonumber(ARGV[2 * i - 1]), ARGV[2 * i]
  local lost = amount - let_go(KEYS[1], KEYS[i], amount)
  if lost > 0 and ARGV[2] == '1' then
    local used, began = standing(KEYS[i], now, ends)
    put(KEYS[i], used + lost, began or ends, now)
  end
end
return 0
""",
)

# KEYS: what the process holds, the processes, windows. ARGV: now, the process, the end of its hold, then for each
# window amount and end. What Redis knows it holds stays; what was forgotten is counted and held again.
HOLD: Final = script(
    _STANDING,
    """
local now = tonumber(ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for i = 3, #KEYS do
  local amount, ends = tonumber(ARGV[2 * i - 2]), ARGV[2 * i - 1]
  local used, began = standing(KEYS[i], now, ends)
  redis.call('HSET', KEYS[1], KEYS[i], amount)
  put(KEYS[i], used + amount, began or ends, now)
end
return 0
""",
)

# KEYS: the processes. ARGV: now, the beginning of the keys of what they hold, a channel.
# Gives back what processes hold whose time is over. Returns of how many windows.
RECLAIM: Final = script(
    _STANDING,
    """
local windows = 0
for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])) do
  local held = redis.call('HGETALL', ARGV[2] .. process)
  for i = 1, #held, 2 do
    local used = redis.call('HGET', held[i], 'used')
    if used then
      redis.call('HSET', held[i], 'used', string.format('%.0f', math.max(0, tonumber(used) - tonumber(held[i + 1]))))
      windows = windows + 1
    end
  end
  redis.call('DEL', ARGV[2] .. process)
  redis.call('ZREM', KEYS[1], process)
end
if windows > 0 then redis.call('PUBLISH', ARGV[3], '["","room"]') end
return windows
""",
)

# KEYS: the processes. ARGV: the process. Whatever it still holds may be given back.
RESIGN: Final = script("return redis.call('ZADD', KEYS[1], 'XX', 0, ARGV[1])")

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

ALL: Final = (
    TAKE,
    GIVE_BACK,
    SPEND,
    HOLD,
    RECLAIM,
    RESIGN,
    ADD,
    STANDING,
    RAISE,
    RESTORE,
    ENTER,
    LEAVE,
    INSIDE,
    RENEW,
)
