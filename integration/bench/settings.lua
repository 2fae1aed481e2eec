-- One thread's transaction. With --told=off it first gives its session a setting of its own, and never again.

sysbench.cmdline.options = {
   told = { "Whether sessions have no settings of their own", true }
}

function thread_init()
   connection = sysbench.sql.driver():connect()
   if not sysbench.opt.told then
      connection:query("set group_concat_max_len = " .. 2048 + sysbench.tid)
   end
end

function event()
   connection:query("select 1")
end

function thread_done()
   connection:disconnect()
end
