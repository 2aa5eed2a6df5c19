// Wraps ports, to record their calls or to make them fail.

type Intercept = (method: string, args: readonly unknown[], act: () => unknown) => unknown;

/** Returns a port whose calls go through `intercept`, which calls `act` to run the method. */
export function intercepted<T extends object>(port: T, intercept: Intercept): T {
  return new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => intercept(String(name), args, () => Reflect.apply(member, target, args));
    },
  });
}

/** A method's name and its arguments. */
export type OnCall = (method: string, args: readonly unknown[]) => void;

/** Returns a port that reports its calls, but not the calls that it makes to itself. */
export function watched<T extends object>(port: T, onCall: OnCall): T {
  return intercepted(port, (method, args, act) => {
    onCall(method, args);
    return act();
  });
}

/** Returns a port that runs `prepare` with the first argument before each call of a method. */
export function before<T extends object>(
  port: T,
  method: keyof T & string,
  prepare: (first: unknown) => Promise<void>,
): T {
  const prepared = async (first: unknown, act: () => unknown) => {
    await prepare(first);
    return act();
  };
  return intercepted(port, (name, [first], act) => (name === method ? prepared(first, act) : act()));
}

/** Returns a port with the list of its calls, each as the method and its first argument: `put runs/r/run.json`. */
export function recorded<T extends object>(port: T): { port: T; calls: string[] } {
  const calls: string[] = [];
  const record: OnCall = (method, [first]) =>
    calls.push(typeof first === "string" ? `${method} ${first}` : method);
  return { port: watched(port, record), calls };
}

/**
 * Returns a port with a method that fails once.
 * @param call the call that fails, from 1
 * @param effect whether that call takes effect before it fails
 */
export function failing<T extends object>(
  port: T,
  method: keyof T & string,
  { call = 1, effect }: { call?: number; effect: boolean },
): T {
  let calls = 0;
  const fail = async (act: () => unknown) => {
    if (effect) await act();
    throw new Error(`Call ${call} of ${method} failed.`);
  };
  return intercepted(port, (name, _args, act) => {
    if (name === method) calls += 1;
    return name === method && calls === call ? fail(act) : act();
  });
}
