-- Two processes that play ping-pong. Both run this script, and one spawns the other.
--
-- Run it:
--   scripts/aoshell ping-pong --load examples/ping_pong.lua --run 'Other = spawn(MyModule)' --run 'Serve(Other, 3)' --run 'Rally'
-- Ends with:
--   5 strokes, the ball is out
Rally = Rally or "not begun"

function Serve(partner, returns)
  Send({ Target = partner, Action = "Ball", Returns = tostring(2 * returns - 1), Strokes = "1" })
  return "served"
end

Handlers.add("Ball", "Ball", function(msg)
  local left, strokes = tonumber(msg.Returns) - 1, tonumber(msg.Strokes)
  if left > 0 then
    print("stroke " .. strokes)
    msg.reply({ Action = "Ball", Returns = tostring(left), Strokes = tostring(strokes + 1) })
  else
    msg.reply({ Action = "Out", Strokes = tostring(strokes) })
  end
end)

Handlers.add("Out", "Out", function(msg)
  Rally = msg.Strokes .. " strokes, the ball is out"
  print(Rally)
end)
