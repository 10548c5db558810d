"""`insideout doctor`: look at this machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Doctor:
    """Look at Python, torch, device, precision and speed; name known trouble, each with its cure."""

    def run(self) -> int:
        from insideout.cli.doctor import examine

        findings = examine()
        width = max(len(each.name) for each in findings)
        for each in findings:
            print(f"{'✗' if each.cure else '✓'} {each.name:<{width}}  {each.found}")
            if each.cure:
                print(f"  {'':<{width}}  cure: {each.cure}")
        trouble = sum(bool(each.cure) for each in findings)
        print(f"\n{trouble} known trouble{'s' if trouble > 1 else ''}." if trouble else "\nNo known trouble.")
        return 0
