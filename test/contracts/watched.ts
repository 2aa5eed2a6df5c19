// Watches the calls of a port.

/** A method's name and its arguments. */
export type OnCall = (method: string, args: readonly unknown[]) => void;

/** Returns a port that reports its calls, but not those that it makes of itself. */
export function watched<T extends object>(port: T, onCall: OnCall): T {
  return new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        onCall(String(name), args);
        return Reflect.apply(member, target, args);
      };
    },
  });
}
